package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// together runs loads of the same length at the same time, and keeps a line of progress.
func together(ctx context.Context, progress io.Writer, label string, loads []*live) []storm.Report {
	reports := make([]storm.Report, len(loads))
	var all sync.WaitGroup
	for i, l := range loads {
		l.prepare()
		all.Go(func() { reports[i] = l.run(ctx) })
	}
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	show(progress, label, loads, over)
	return reports
}

// show keeps a line of progress until all is over.
func show(w io.Writer, label string, loads []*live, over <-chan struct{}) {
	begin, length := time.Now(), loads[0].length
	bar := progressbar.NewOptions64(int64(length/time.Second), progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(label), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetPredictTime(false))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-over:
			_ = bar.Finish()
			return
		case <-tick.C:
			queries, failed := 0, 0
			for _, l := range loads {
				q, f := l.soFar()
				queries, failed = queries+q, failed+f
			}
			bar.Describe(fmt.Sprintf("%s: %d queries, %d errors", label, queries, failed))
			_ = bar.Set64(int64(min(time.Since(begin), length) / time.Second))
		}
	}
}
