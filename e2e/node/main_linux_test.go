package node

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if strings.HasPrefix(os.Getenv(role), "node-") {
		fmt.Println(beNode())
		os.Exit(1)
	}
	os.Exit(m.Run())
}
