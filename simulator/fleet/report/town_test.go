package report

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// town plays a load test in virtual time, so that there is something to report:
// devices connect in a ramp, are pushed at 1,000 a minute, and the broker restarts
// in the middle. The same seed gives the same events.
type town struct {
	lots    *rand.Rand
	devices int
	events  []event
}

type event struct {
	at     float64 // seconds
	device int
	do     func(r *Recorder)
}

const (
	townPush    = 1000.0 // a minute
	townRestart = 170.0  // seconds
)

func newTown(devices int) *town {
	t := &town{lots: rand.New(rand.NewPCG(7, 11)), devices: devices}
	for i := range devices {
		t.device(i)
	}
	slices.SortStableFunc(t.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return t
}

func (t *town) at(seconds float64, device int, do func(r *Recorder)) {
	t.events = append(t.events, event{seconds, device, do})
}

// about is a positive value around the middle, with a long tail.
func (t *town) about(middle, spread float64) float64 {
	return middle * math.Exp(t.lots.NormFloat64()*spread)
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

// townKinds are the behaviours: their share in a thousand, and how they end.
var townKinds = []struct {
	name  string
	share int
	end   Outcome
	speed float64 // MB/s
}{
	{"good", 820, Succeeded, 4},
	{"slow link", 90, Succeeded, 0.12},
	{"download fails", 30, DownloadFailed, 3},
	{"package damaged", 20, VerifyFailed, 4},
	{"flash full", 15, WriteFailed, 4},
	{"new system sick", 15, UpgradeFailed, 4},
	{"never answers", 10, NeverAnswered, 0},
}

func (t *town) device(i int) {
	lot, k := t.lots.IntN(1000), 0
	for ; lot >= townKinds[k].share; k++ {
		lot -= townKinds[k].share
	}
	kind := townKinds[k]
	due := float64(i) / 150
	tcp, tls, mqtt := t.about(0.0006, 0.4), t.about(0.004, 0.4), t.about(0.0025, 0.7)
	t.at(due, i, func(r *Recorder) {
		r.Devices(1)
		b := r.Behaviour(kind.name)
		b.Devices(1)
		b.Expect(kind.end, 1)
		r.Move(Waiting, Connecting)
		r.Add(Connects, 1)
	})
	up := due + tcp + tls + mqtt
	t.at(up, i, func(r *Recorder) {
		r.Observe(ConnectTCP, seconds(tcp))
		r.Observe(ConnectTLS, seconds(tls))
		r.Observe(ConnectMQTT, seconds(mqtt))
		r.Observe(Connect, seconds(tcp+tls+mqtt))
		r.Add(Connected, 1)
		r.Add(Messages, 2)
		r.Add(Versions, 1)
		r.Move(Connecting, Online)
	})
	notice := max(up, float64(i)*60/townPush*1.0005+5) + t.about(0.004, 0.8)
	done := t.update(i, kind.end, kind.name, kind.speed, notice)
	t.restart(i, kind.end, up, notice, done)
}

// update plays a device from its notice; it gives when that was over.
func (t *town) update(i int, end Outcome, name string, speed, notice float64) float64 {
	first, size := t.about(0.02, 0.6), 400_000.0
	t.at(notice, i, func(r *Recorder) {
		r.Add(NoticesPushed, 1)
		r.Observe(PushLateness, seconds(notice-math.Floor(notice*100)/100))
		r.Move(Online, Notified)
	})
	if end == NeverAnswered {
		t.at(notice+60, i, func(r *Recorder) {
			r.Behaviour(name).Ended(end)
			r.Move(Notified, Failed)
		})
		return notice + 60
	}
	took := size / (t.about(speed, 0.5) * 1e6)
	if t.lots.IntN(25) == 0 {
		took += 2
		t.at(notice+first+took/2, i, func(r *Recorder) {
			r.Add(DownloadErrors, 1)
			r.Add(Resumes, 1)
			r.Add(Bytes, 16_384)
			r.Add(BytesWasted, 16_384)
		})
	}
	verify, reboot := t.about(0.002, 0.3), t.about(3, 0.3)
	t.at(notice+first, i, func(r *Recorder) {
		r.Observe(NoticeToByte, seconds(first))
		r.Add(Downloads, 1)
		r.Move(Notified, Downloading)
	})
	for part := range 10 {
		t.at(notice+first+took*float64(part+1)/10, i, func(r *Recorder) { r.Add(Bytes, int64(size/10)) })
	}
	over := notice + first + took
	t.at(over, i, func(r *Recorder) {
		r.Transferred(int64(size), seconds(took))
		r.Add(Downloaded, 1)
		r.Add(Progress, 5)
		r.Add(Messages, 5)
		r.Move(Downloading, Verifying)
	})
	t.at(over+verify, i, func(r *Recorder) {
		r.Observe(Verify, seconds(verify))
		r.Move(Verifying, Rebooting)
	})
	total := first + took + verify + reboot
	t.at(notice+total, i, func(r *Recorder) {
		r.Behaviour(name).Ended(end)
		if end != Succeeded {
			r.Move(Rebooting, Failed)
			return
		}
		r.Observe(NoticeToSuccess, seconds(total))
		r.Add(Versions, 1)
		r.Move(Rebooting, Updated)
	})
	return notice + total
}

// restart plays the broker's restart for a device that is not in the middle of something.
func (t *town) restart(i int, end Outcome, up, notice, done float64) {
	if up > townRestart || townRestart > notice-20 && townRestart < done+10 {
		return
	}
	from, back, again := Online, 1+t.lots.Float64()*12, t.about(0.02, 0.8)
	if done < townRestart {
		if from = Updated; end != Succeeded {
			from = Failed
		}
	} else if townRestart+20 > notice {
		return
	}
	t.at(townRestart, i, func(r *Recorder) {
		r.Add(Disconnects, 1)
		r.Move(from, Connecting)
	})
	for try := range t.lots.IntN(3) {
		t.at(townRestart+back*float64(try)/4, i, func(r *Recorder) {
			r.Add(Connects, 1)
			r.Add(ConnectFailures, 1)
		})
	}
	t.at(townRestart+back, i, func(r *Recorder) {
		r.Add(Connects, 1)
		r.Add(Connected, 1)
		r.Add(Reconnects, 1)
		r.Observe(Connect, seconds(again))
		r.Observe(Reconnect, seconds(back))
		r.Move(Connecting, from)
	})
}

// play feeds each device's events into the recorder that it belongs to, and ticks
// all of them. A sample is made for the recorder.
func (t *town) play(recorders ...*Recorder) time.Time {
	lots := rand.New(rand.NewPCG(3, 5))
	next, cpu := 1.0, make([]time.Duration, len(recorders))
	tick := func() {
		now := start.Add(seconds(next))
		for i, r := range recorders {
			share := 0.18 + 0.1*lots.Float64()
			if next > townRestart && next < townRestart+14 {
				share += 0.35
			}
			cpu[i] += seconds(share * float64(r.health.Cores))
			r.Observe(Lateness, seconds(0.0004*math.Exp(lots.NormFloat64())))
			r.Tick(now, Sample{CPU: cpu[i], Memory: 60_000_000 + int64(r.In(Online))*9000, Sockets: int(r.In(Online) + r.In(Notified) + r.In(Downloading)), Goroutines: 40})
		}
		next++
	}
	for _, e := range t.events {
		for next <= e.at {
			tick()
		}
		e.do(recorders[e.device%len(recorders)])
	}
	tick()
	return start.Add(seconds(next - 1))
}

// describeTown is what the recorder is told before.
func describeTown(r *Recorder, shard string) {
	r.Describe(Run{Title: "Mixed fleet, broker restarted", Scenario: "mixed.toml", Seed: 7, Endpoint: "mqtts://127.0.0.1:8883", Ramp: "150/s", Program: "otasim test", Shard: shard, Host: "bench"})
	r.PushLimit(townPush)
	r.SocketLimit(19_900)
	r.Mark(start.Add(seconds(townRestart)), "the broker restarts")
}

// townResult is the whole thing in one process.
func townResult(devices int) *Result {
	r := New(start)
	describeTown(r, "")
	r.health.Cores = 2
	return r.Result(newTown(devices).play(r))
}
