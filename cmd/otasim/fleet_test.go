package main

import (
	"os"
	"regexp"
	"testing"

	"github.com/leapslot/ota/simulator/fleet"
)

// TestDeploy: the manifest for Kubernetes calls otasim fleet as it is.
func TestDeploy(t *testing.T) {
	text, err := os.ReadFile("../../deploy/fleet-job.yaml")
	if err != nil {
		t.Fatal(err)
	}
	flags := newFleetCommand().Flags()
	found := regexp.MustCompile(`(?m)^ +- --([a-z-]+)=(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(found) < 5 {
		t.Fatalf("the manifest has %d flags", len(found))
	}
	for _, f := range found {
		if flags.Lookup(f[1]) == nil {
			t.Errorf("otasim fleet has no --%s", f[1])
		} else if err := flags.Set(f[1], f[2]); err != nil {
			t.Errorf("--%s=%s: %v", f[1], f[2], err)
		}
	}
}

func TestParseShard(t *testing.T) {
	for _, c := range []struct {
		text, index string
		want        fleet.Shard
		bad         bool
	}{
		{text: "", index: "3"},
		{text: "1/1", want: fleet.Shard{Index: 0, Count: 1}},
		{text: "2/4", index: "0", want: fleet.Shard{Index: 1, Count: 4}},
		{text: "5", index: "4", want: fleet.Shard{Index: 4, Count: 5}},
		{text: "5", bad: true},
		{text: "5", index: "5", bad: true},
		{text: "5", index: "-1", bad: true},
		{text: "0/4", bad: true},
		{text: "5/4", bad: true},
		{text: "x/4", bad: true},
		{text: "1/0", bad: true},
		{text: "1/2/3", bad: true},
	} {
		got, err := parseShard(c.text, c.index)
		if (err != nil) != c.bad || !c.bad && got != c.want {
			t.Errorf("%q with index %q: %+v, %v", c.text, c.index, got, err)
		}
	}
}
