package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/diff"
	"github.com/leapslot/ota/platform/durable"
)

// recordFormat is the version of the record's layout. A record of a newer one
// is not touched.
const recordFormat = 1

// Bounds of what the record keeps.
const (
	maxHistory = 20
	maxTried   = 16
	maxBad     = 64
)

// record is all that the agent remembers. It is saved whole after each stage.
type record struct {
	Format    int               `json:"format"`
	Update    *Update           `json:"update,omitempty"`
	Owed      []message         `json:"owed,omitempty"`      // in the order in which the cloud must get them
	Images    map[string]Image  `json:"images,omitempty"`    // by slot: what was written there
	Informed  map[string]inform `json:"informed,omitempty"`  // by module: the last version the cloud has
	Tried     []attempts        `json:"tried,omitempty"`     // the oldest first
	Bad       []bad             `json:"bad,omitempty"`       // never to be tried again; the oldest first
	Paused    bool              `json:"paused,omitempty"`    // nothing begins nor goes on before Resume
	Installed map[string]string `json:"installed,omitempty"` // by module that keeps no version itself: what was installed
	Security  map[string]uint64 `json:"security,omitempty"`  // by module: the highest security version that was kept
	History   []Result          `json:"history,omitempty"`   // the newest last
}

// message is one that must reach the cloud.
type message struct {
	Kind    ota.TopicKind `json:"kind"`
	Payload []byte        `json:"payload"`
	Module  string        `json:"module,omitempty"` // with Version: the report that it is
	Version string        `json:"version,omitempty"`
}

type inform struct {
	BootID  string `json:"boot"`
	Version string `json:"version"`
}

// attempts counts how often one package was tried on one module.
type attempts struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	Sign    string `json:"sign"`
	Count   int    `json:"count"`
}

// Image is what a slot holds, as far as the agent wrote it.
type Image struct {
	Size    int64  `json:"size"`              // bytes
	SHA256  string `json:"sha256"`            // lower-case hexadecimal
	Version string `json:"version,omitempty"` // empty when recorded from a running system
}

// Result is how an update ended.
type Result struct {
	Time    time.Time `json:"time"`
	Module  string    `json:"module"`
	From    string    `json:"from"`
	Version string    `json:"version"`
	Step    ota.Step  `json:"step"`   // 100, or the failure's code
	Reason  string    `json:"reason"` // empty on success
}

// Update is the one update that is under way, as the record holds it.
type Update struct {
	Notice ota.Notice `json:"notice"`
	From   string     `json:"from"` // the version that was running when it began
	Stage  Stage      `json:"stage"`
	Target string     `json:"target"`           // the slot that is written
	Kept   string     `json:"kept"`             // the slot to return to
	Apart  bool       `json:"folder,omitempty"` // the module is not in the slots: Kept is a folder's version, Target empty
	BootID string     `json:"boot,omitempty"`   // the boot in which the switch was made
	Bundle *bundle    `json:"bundle,omitempty"` // where the package lies, when it does not come from the cloud
	Stalls int        `json:"stalls,omitempty"` // starts of the agent since the last progress

	Grant *grant `json:"grant,omitempty"` // what is signed of the package, known after Trust

	Mark      mark   `json:"mark"`
	Kind      string `json:"kind,omitempty"`      // of the package, as unpack names it, or nativeKind; "" until its first bytes were seen
	Source    *Image `json:"source,omitempty"`    // of a native patch whose source nobody else knows: what the patch said, and what was found
	Validator string `json:"validator,omitempty"` // the ETag or date of what is being fetched
	Digest    string `json:"digest,omitempty"`    // of the package, once it has come whole
	SHA256    string `json:"sha256,omitempty"`    // of the same, when a manifest wants it and Digest is MD5
	Broken    string `json:"broken,omitempty"`    // why the writing end gave up while the package was coming
	Image     Image  `json:"image"`               // what the target slot must hold, known after the last byte

	Fail *Failure `json:"fail,omitempty"`
}

// grant is a verify.Grant as the record holds it: another build of the agent must
// be able to read it after the restart.
type grant struct {
	Manifest        bool   `json:"manifest,omitempty"`
	PackageSize     int64  `json:"packageSize,omitempty"`
	PackageSHA256   string `json:"packageSha256,omitempty"`
	ImageSize       int64  `json:"imageSize,omitempty"`
	ImageSHA256     string `json:"imageSha256,omitempty"`
	SourceSize      int64  `json:"sourceSize,omitempty"`
	SourceSHA256    string `json:"sourceSha256,omitempty"`
	SecurityVersion uint64 `json:"securityVersion,omitempty"`
}

// Failure is what is reported of an update that failed.
type Failure struct {
	Step   ota.Step `json:"step"`
	Reason string   `json:"reason"`
}

// mark is a place from which an interrupted download goes on.
type mark struct {
	In      int64  `json:"in"`                // bytes of the package that need not be fetched nor unpacked again
	Out     int64  `json:"out"`               // bytes of the image that they made, safe in the slot
	Package []byte `json:"package,omitempty"` // state of the package's digest at In
	Signed  []byte `json:"signed,omitempty"`  // state of its SHA-256 there, when a manifest wants one more
	Image   []byte `json:"image,omitempty"`   // state of the image's digest at Out
	// Delta is where a native patch goes on, its image's digest included.
	Delta   *diff.Checkpoint `json:"delta,omitempty"`
	Spooled int64            `json:"spooled,omitempty"` // the spool safely holds the package from In to here
}

// Store keeps the record. Save is durable and all or nothing. durable.Pair is
// the real one.
type Store interface {
	// Load gives what was saved last; durable.ErrNone when nothing ever was.
	Load() ([]byte, error)
	Save([]byte) error
}

// errNewerRecord means that a newer build of the agent wrote the record.
var errNewerRecord = errors.New("the record was written by a newer agent: install that one again, or remove the record to start afresh")

// loadRecord reads what was saved last; a device that never saved starts empty.
func loadRecord(s Store) (record, error) {
	saved, err := s.Load()
	if errors.Is(err, durable.ErrNone) {
		return record{Format: recordFormat}, nil
	}
	if err != nil {
		return record{}, err
	}
	return decodeRecord(saved)
}

func decodeRecord(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("the record cannot be read: %v", err)
	}
	if r.Format > recordFormat {
		return record{}, errNewerRecord
	}
	if r.Update != nil {
		if err := r.Update.Notice.Validate(); err != nil {
			return record{}, fmt.Errorf("the record's update cannot be used: %v", err)
		}
	}
	return r, nil
}

func (r *record) encode() []byte {
	r.Format = recordFormat
	b, err := json.Marshal(r)
	if err != nil {
		panic("agent: a record that cannot be encoded: " + err.Error())
	}
	return b
}

// count notes one more try of a package and gives how many that makes.
func (r *record) count(n ota.Notice) int {
	for i := range r.Tried {
		t := &r.Tried[i]
		if t.Module == n.Module && t.Version == n.Version && t.Sign == n.Files[0].Sign {
			t.Count++
			return t.Count
		}
	}
	r.Tried = append(r.Tried, attempts{n.Module, n.Version, n.Files[0].Sign, 1})
	if len(r.Tried) > maxTried {
		r.Tried = r.Tried[len(r.Tried)-maxTried:]
	}
	return 1
}

// bad is a package that a person does not want on this device.
type bad struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	Sign    string `json:"sign"`
}

// condemn notes that a package is never tried again.
func (r *record) condemn(n ota.Notice) {
	if r.condemned(n) {
		return
	}
	r.Bad = append(r.Bad, bad{n.Module, n.Version, n.Files[0].Sign})
	if len(r.Bad) > maxBad {
		r.Bad = r.Bad[len(r.Bad)-maxBad:]
	}
}

// condemned knows a package by its version, and under another one by its digest.
func (r *record) condemned(n ota.Notice) bool {
	for _, b := range r.Bad {
		if b.Module == n.Module && (b.Version == n.Version || b.Sign == n.Files[0].Sign) {
			return true
		}
	}
	return false
}

// forget drops the tries of a module: it was updated.
func (r *record) forget(module string) {
	kept := r.Tried[:0]
	for _, t := range r.Tried {
		if t.Module != module {
			kept = append(kept, t)
		}
	}
	r.Tried = kept
}

func (r *record) remember(res Result) {
	r.History = append(r.History, res)
	if len(r.History) > maxHistory {
		r.History = r.History[len(r.History)-maxHistory:]
	}
}

func (r *record) setImage(slot string, im Image) {
	if r.Images == nil {
		r.Images = make(map[string]Image)
	}
	r.Images[slot] = im
}

func (r *record) setInstalled(module, version string) {
	if r.Installed == nil {
		r.Installed = make(map[string]string)
	}
	r.Installed[module] = version
}

func (r *record) setInformed(module string, in inform) {
	if r.Informed == nil {
		r.Informed = make(map[string]inform)
	}
	r.Informed[module] = in
}
