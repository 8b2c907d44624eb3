package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/urfave/cli/v3"
)

// modelsCommand explains what clients can behave as.
func modelsCommand() *cli.Command {
	asJSON := false
	return &cli.Command{
		Name: "models", Usage: "explain the models that clients behave as",
		UsageText:   "ttlstorm models [flags] [MODEL...]",
		Description: "Each is what one program does on a TTL, and on a failure, and where that is from.",
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "json", Usage: "as JSON", Destination: &asJSON}},
		Action: func(_ context.Context, c *cli.Command) error {
			models := client.Models
			if c.NArg() > 0 {
				models = nil
			}
			for _, name := range c.Args().Slice() {
				m, err := client.ByName(name)
				if err != nil {
					return usagef("%v", err)
				}
				models = append(models, m)
			}
			if asJSON {
				e := json.NewEncoder(c.Root().Writer)
				e.SetIndent("", "  ")
				return e.Encode(models)
			}
			return explain(c.Root().Writer, models)
		},
	}
}

// explain writes models for people.
func explain(w io.Writer, models []*client.Model) error {
	for i, m := range models {
		gap, assumed, measured := "\n", "", "Not measured"
		if i == 0 {
			gap = ""
		}
		if m.Assumed != "" {
			assumed = ". Assumed: " + m.Assumed
		}
		if m.Measured != "" {
			measured = "Measured as " + m.Measured + ", in docs/clients.md"
		}
		if _, err := fmt.Fprintf(w, "%s%s: %s\n   Asks for %s.\n   It %s\n   On a failure it %s\n   Source: %s%s.\n   %s.\n",
			gap, m.Name, m.Doc, m.Asks, m.TTL, m.Failure, m.Source, assumed, measured); err != nil {
			return err
		}
	}
	return nil
}
