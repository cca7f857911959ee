package server

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// FuzzUplink: whatever a device that is upgrading publishes, nothing panics, the model
// stays whole, and the device has one task or none.
func FuzzUplink(f *testing.F) {
	for _, s := range []string{
		`{"id":1, "params":{"version":"1.0.0"}}`, `{"id":2, "params":{"step":"0","desc":"","module":"default"}}`,
		`{"id":2, "params":{}}`, `{"id":"1","params":{"step":-2,"desc":"x"}}`, `{"id":"1","params":{"version":"2.0",},}` + "\x00", "", "null",
	} {
		f.Add(uint8(ota.TopicInform), []byte(s))
		f.Add(uint8(ota.TopicProgress), []byte(s))
		f.Add(uint8(ota.TopicGet), []byte(s))
		f.Add(uint8(ota.TopicRequest), []byte(s))
	}
	now := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		c := simulator.New(simulator.Options{Random: rand.NewChaCha8([32]byte{5})})
		do := func(cmd simulator.Command) any {
			v, err := c.Apply(cmd, now)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		p := do(simulator.CreateProduct{Account: "me", Name: "lamp"}).(simulator.Product)
		do(simulator.RegisterDevices{Product: p.Key, Names: []string{"d1"}})
		d := ota.Device{ProductKey: p.Key, Name: "d1"}
		c.Happen(simulator.Online{Device: d}, now)
		pkg := do(simulator.CreatePackage{
			Product: p.Key, Name: "fw", Version: "2.0", SignMethod: ota.MD5,
			Files: []simulator.File{{Name: "a.bin", Key: "k", Size: 1, MD5: strings.Repeat("ab", 16)}},
		}).(simulator.Package)
		j := do(simulator.CreateStaticJob{Package: pkg.ID, Target: simulator.TargetAll, RetryCount: 1}).(simulator.Job)
		c.Commit()
		ev, err := decode(d, ota.TopicKind(kind), payload)
		if err != nil {
			return
		}
		c.Happen(ev, now)
		got := do(simulator.FindJob{Job: j.ID}).(simulator.Job)
		if got.Counts.Total() != 1 {
			t.Errorf("%s: %+v", payload, got.Counts)
		}
		c.Undo()
		if again := do(simulator.FindJob{Job: j.ID}).(simulator.Job); again.Counts.Notified != 1 {
			t.Errorf("%s, undone: %+v", payload, again.Counts)
		}
	})
}
