package gateway

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/platform/durable"
)

// recordFormat is the version of the record's layout. A record of a newer one is not
// touched.
const recordFormat = 1

// record is all that is remembered of one sub-device. It is saved whole.
type record struct {
	Format    int      `json:"format"`
	Update    *update  `json:"update,omitempty"`    // under way, or postponed
	Owed      *outcome `json:"owed,omitempty"`      // of the last update, until the cloud has confirmed it
	Installed string   `json:"installed,omitempty"` // the version of the last good update
	Tried     tried    `json:"tried"`
	// Security is the highest security version of a package that became this
	// sub-device's system; none below it is taken (fault T9).
	Security uint64 `json:"security,omitempty"`
}

type update struct {
	Notice ota.Notice `json:"notice"`
	From   string     `json:"from"`
	Stage  stage      `json:"stage"`
	Mark   mark       `json:"mark"`
	Starts int        `json:"starts,omitempty"` // of the process since the last progress
	Later  int        `json:"later,omitempty"`  // how often the installer has postponed it
}

// mark is a place from which an interrupted download goes on: so many bytes are safe
// in the spool, and they are of the file that the validator names.
type mark struct {
	Bytes     int64  `json:"bytes"`
	Validator string `json:"validator,omitempty"`
}

// outcome is how an update ended.
type outcome struct {
	Module string   `json:"module"`
	Step   ota.Step `json:"step"`
	Reason string   `json:"reason,omitempty"`
}

// tried counts how often the package that was tried last was tried.
type tried struct {
	Version string `json:"version,omitempty"`
	Sign    string `json:"sign,omitempty"`
	Count   int    `json:"count,omitempty"`
}

// count notes one more try of a package and gives how many that makes.
func (t *tried) count(n ota.Notice) int {
	if t.Version != n.Version || t.Sign != n.Files[0].Sign {
		*t = tried{Version: n.Version, Sign: n.Files[0].Sign}
	}
	t.Count++
	return t.Count
}

// errNewer means that a newer build wrote the record.
var errNewer = errors.New("the record was written by a newer build: install that one again, or remove the record to start afresh")

func decodeRecord(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("the record cannot be read: %v", err)
	}
	if r.Format > recordFormat {
		return record{}, errNewer
	}
	if u := r.Update; u != nil {
		if err := u.Notice.Validate(); err != nil {
			return record{}, fmt.Errorf("the record's update cannot be used: %v", err)
		}
		if u.Mark.Bytes < 0 || u.Mark.Bytes > u.Notice.Files[0].Size || !u.Stage.known() {
			return record{}, fmt.Errorf("the record's update is at byte %d of stage %q, which cannot be", u.Mark.Bytes, u.Stage)
		}
	}
	return r, nil
}

func (r record) encode() []byte {
	r.Format = recordFormat
	b, err := json.Marshal(r)
	if err != nil {
		panic("gateway: a record that cannot be encoded: " + err.Error())
	}
	return b
}

// load reads what was saved last. A record that is damaged beyond use is replaced by
// an empty one: the cloud sends again what it wants.
func (s *sub) load() (lost, err error) {
	saved, err := s.store.Load()
	if errors.Is(err, durable.ErrNone) {
		return nil, nil
	}
	if err == nil {
		s.rec, err = decodeRecord(saved)
	}
	if errors.Is(err, errNewer) {
		return nil, err
	}
	return err, nil
}

func (s *sub) save() error {
	if err := s.store.Save(s.rec.encode()); err != nil {
		return fmt.Errorf("the state cannot be saved: %w", err)
	}
	return nil
}
