package simulator

import (
	"slices"
	"testing"

	"github.com/leapslot/ota"
)

// Over MQTT there is one file of at most 16 MB (protocol section 6).
func TestDownloadProtocolLimits(t *testing.T) {
	w := newWorld(t, 1)
	sized := func(name string, sizes ...int64) string {
		cmd := w.full(name)
		first := cmd.Files[0]
		cmd.Files = nil
		for i, n := range sizes {
			f := first
			f.Name, f.Key, f.Size = itoa(i+1)+".bin", "k"+itoa(i+1), n
			cmd.Files = append(cmd.Files, f)
		}
		return w.do(cmd).(Package).ID
	}
	fits, large, two := sized("fits", ota.MaxMQTTFileSize), sized("large", ota.MaxMQTTFileSize+1), sized("two", 10, 10)
	for _, make := range []func(pkg string, how Protocol) Command{
		func(pkg string, how Protocol) Command {
			return CreateStaticJob{Package: pkg, Target: TargetAll, Protocol: how}
		},
		func(pkg string, how Protocol) Command {
			return CreateVerifyJob{Package: pkg, Devices: []string{"d1"}, Protocol: how}
		},
		func(pkg string, how Protocol) Command {
			return CreateDynamicJob{Package: pkg, Sources: []string{"1.0"}, Protocol: how}
		},
	} {
		w.refused(make(large, MQTT), Invalid, "DownloadProtocol", "at most 16777216")
		w.refused(make(two, MQTT), Invalid, "DownloadProtocol", "2 files")
		w.refused(make(fits, "FTP"), Invalid, "DownloadProtocol", "neither HTTPS nor MQTT")
	}
	j := w.do(CreateStaticJob{Package: fits, Target: TargetAll, Protocol: MQTT}).(Job)
	if j.Protocol != MQTT {
		t.Errorf("job has protocol %q", j.Protocol)
	}
	w.online("d1")
	if p := w.pushes[len(w.pushes)-1]; p.Protocol != MQTT {
		t.Errorf("push has protocol %q", p.Protocol)
	}
}

// With secure upgrade a package of several files is refused: there is no signature
// for it that a device could verify.
func TestP7SeveralFilesAreNotSigned(t *testing.T) {
	w := newWorld(t, 1)
	cmd := w.full("two")
	second := cmd.Files[0]
	second.Name, second.Key = "b.bin", "k2"
	cmd.Files = append(cmd.Files, second)
	p := w.do(cmd).(Package)
	w.do(SetSecureUpgrade{Product: w.product, On: true, SigningKey: []byte("private"), PublicKey: []byte("public")})
	w.refused(CreateStaticJob{Package: p.ID, Target: TargetAll}, Refused, "Package", "secure upgrade")
	w.refused(CreateVerifyJob{Package: p.ID, Devices: []string{"d1"}}, Refused, "Package", "secure upgrade")
	w.do(SetSecureUpgrade{Product: w.product})
	w.do(CreateStaticJob{Package: p.ID, Target: TargetAll})
}

// What a device may fetch is what it was told of and has not finished.
func TestFindOffers(t *testing.T) {
	w := newWorld(t, 2)
	p := w.do(w.full("p")).(Package)
	offers := func(d ota.Device) []Offer {
		return w.do(FindOffers{d}).([]Offer)
	}
	w.do(CreateStaticJob{Package: p.ID, Target: TargetSpecific, Devices: []string{"d1"}, Protocol: MQTT})
	if got := offers(w.dev("d1")); len(got) != 0 {
		t.Errorf("before the notice: %+v", got)
	}
	w.online("d1", "d2")
	got := offers(w.dev("d1"))
	if len(got) != 1 || got[0].Protocol != MQTT || !slices.Equal(got[0].Files, p.Files) || got[0].Task.Status != Notified {
		t.Errorf("after the notice: %+v", got)
	}
	if got := offers(w.dev("d2")); len(got) != 0 {
		t.Errorf("another device: %+v", got)
	}
	if got := offers(ota.Device{ProductKey: "none", Name: "d1"}); len(got) != 0 {
		t.Errorf("an unknown device: %+v", got)
	}
	w.inform("d1", "2.0")
	if got := offers(w.dev("d1")); len(got) != 0 {
		t.Errorf("after the end: %+v", got)
	}
}
