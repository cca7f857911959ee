package report

import (
	"testing"
	"time"
)

// A crowd of connections that are lost is marked once; devices that flap are not.
func TestLostConnectionsAreMarked(t *testing.T) {
	start := time.Now()
	r := New(start)
	r.Devices(1000)
	for second, lost := range []int64{0, 15, 49, 700, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 50} {
		r.Add(Disconnects, lost)
		r.Tick(start.Add(time.Duration(second+1)*time.Second), Sample{})
	}
	var got []string
	for _, m := range r.Result(start.Add(15 * time.Second)).Marks {
		got = append(got, m.At.Sub(start).String()+" "+m.Text)
	}
	if len(got) != 2 || got[0] != "4s connections are lost" || got[1] != "15s connections are lost" {
		t.Errorf("marks: %q", got)
	}
}
