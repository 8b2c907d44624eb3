//go:build race

package neighbours

func init() { underRace = true }
