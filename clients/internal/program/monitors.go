package program

import (
	"fmt"
	"strings"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Monitors, which find what they watch by names.

var _ = register(&Program{
	Name: "prometheus", Title: "Prometheus, `dns_sd_configs` with type A", Packages: []string{"prometheus"}, Version: []string{"prometheus", "--version"},
	Start: func(c *Cell) (Use, error) {
		var jobs strings.Builder
		for _, name := range c.Names {
			fmt.Fprintf(&jobs, `
  - job_name: %[1]s
    dns_sd_configs: [{names: [%[1]s], type: A, port: %[2]d}]`, strings.TrimSuffix(name, "."), source.Port)
		}
		path, err := c.File("prometheus.yml", "scrape_configs:"+jobs.String()+"\n")
		if err != nil {
			return nil, err
		}
		_, err = c.Run("prometheus", "--config.file="+path, "--storage.tsdb.path="+c.Dir+"/data",
			"--web.listen-address=127.0.0.2:9090", "--log.level=warn")
		if err != nil {
			return nil, err
		}
		return nil, c.Listens("127.0.0.2:9090")
	},
})
