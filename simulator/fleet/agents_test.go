package fleet

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator/fleet/report"
)

// transcript is what devices have sent, in words that do not depend on the time: ids and
// percentages in between are left out.
type transcript struct {
	mu   sync.Mutex
	said map[string][]string
}

func (s *transcript) watch(d ota.Device, up bool, kind ota.TopicKind, payload []byte) {
	if !up {
		return
	}
	line := ""
	switch kind {
	case ota.TopicInform:
		i, err := ota.DecodeInform(payload)
		line = fmt.Sprint("version ", i.Module, " ", i.Version, err)
	case ota.TopicProgress:
		p, err := ota.DecodeProgress(payload)
		if p.Step > 0 && p.Step < ota.StepDone {
			return
		}
		line = fmt.Sprint("step ", p.Module, " ", p.Step, err)
	case ota.TopicDownload, ota.TopicGet:
		// How large its blocks are is a device's own matter. Whether it asks what the cloud
		// wants now depends on whether a notice came before or after the end of an update.
		return
	default:
		line = fmt.Sprint("kind ", kind)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said[d.Name] = append(s.said[d.Name], line)
}

// spoken is what a device said. A notice that the cloud sent before a real agent's last
// word was acknowledged may reach the agent after that, since its MQTT library hands
// messages and acknowledgements over in different goroutines. It says its version once
// more then, as it must: that is left out.
func (s *transcript) spoken(e Ending) []string {
	said := s.said[e.Name]
	if n := len(said); e.Behaviour == "real" && n > 1 && strings.HasPrefix(said[n-1], "version ") && said[n-1] == said[n-2] {
		return said[:n-1]
	}
	return said
}

// TestTranscripts runs a small client and the real agent through the same scripts: they
// send the same messages in the same order, and the cloud says the same of both.
func TestTranscripts(t *testing.T) {
	for name, tc := range map[string]struct {
		b    Behaviour
		job  []string
		want report.Outcome
	}{
		"good":                {want: report.Succeeded},
		"over MQTT":           {job: []string{"DownloadProtocol", "MQTT"}, want: report.Succeeded},
		"fails with -1":       {b: Behaviour{Fail: -1}, want: report.UpgradeFailed},
		"fails with -2":       {b: Behaviour{Fail: -2}, want: report.DownloadFailed},
		"fails with -3":       {b: Behaviour{Fail: -3}, want: report.VerifyFailed},
		"fails with -4":       {b: Behaviour{Fail: -4}, want: report.WriteFailed},
		"fails with -2 once":  {b: Behaviour{Fail: -2, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded},
		"fails with -3 once":  {b: Behaviour{Fail: -3, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded},
		"fails with -4 once":  {b: Behaviour{Fail: -4, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded},
		"slow":                {b: Behaviour{Bandwidth: 100_000}, want: report.Succeeded},
		"fails with -1 once":  {b: Behaviour{Fail: -1, FailTimes: 1}, job: []string{"RetryInterval", "0", "RetryCount", "2"}, want: report.Succeeded},
		"fails with -1 twice": {b: Behaviour{Fail: -1, FailTimes: 2}, job: []string{"RetryInterval", "0", "RetryCount", "5"}, want: report.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			members := w.register(w.product, 4)
			job := w.batch(w.product, w.firmware(w.product, "2.0.0", 50_000), tc.job...)
			small, real := tc.b, tc.b
			small.Name, real.Name, real.Client = "small", "real", ClientAgent
			said := &transcript{said: map[string][]string{}}
			f := w.fleet(members, func(c *Config) { c.Watch = said.watch }, small, real)
			r := w.run(f)
			if seen := w.agree(f, job, w.product); seen[tc.want] != 4 {
				t.Errorf("the fleet saw %v, wanted are 4 times %v", seen, tc.want)
			}
			for _, b := range r.Behaviours {
				if !b.AsExpected() {
					t.Errorf("%s: the report has %v where %v are expected", b.Behaviour, b.Seen, b.Expected)
				}
			}
			all := f.Endings()
			for _, e := range all[1:] {
				if got, want := said.spoken(e), said.spoken(all[0]); !slices.Equal(got, want) {
					t.Errorf("%s (%s) said\n%q\nand %s (%s)\n%q", e.Name, e.Behaviour, got, all[0].Name, all[0].Behaviour, want)
				}
			}
		})
	}
}
