package fleet

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"

	"github.com/leapslot/ota"
)

// Member is one device that may be played.
type Member struct {
	ota.Device
	Secret string
}

// deal gives each member its behaviour: as many of each as its share says, rounded so
// that all have one, and which ones is drawn with the seed. The list is the whole
// fleet's, also when only a shard of it is played, so that shards agree.
func (s *Scenario) deal(members int) []uint8 {
	total := 0.0
	for _, b := range s.Behaviours {
		total += b.Share
	}
	order := rand.New(rand.NewPCG(s.Seed, 1)).Perm(members)
	out := make([]uint8, members)
	sum, from := 0.0, 0
	for i, b := range s.Behaviours {
		sum += b.Share
		to := int(sum/total*float64(members) + 0.5)
		if i == len(s.Behaviours)-1 {
			to = members
		}
		for _, k := range order[from:to] {
			out[k] = uint8(i)
		}
		from = to
	}
	return out
}

// luck is a device's own source of chance: what one does never depends on the others.
func (s *Scenario) luck(d ota.Device) rand.PCG {
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.ProductKey + "/" + d.Name))
	return *rand.NewPCG(s.Seed, h.Sum64())
}

// Shard is a part of a fleet, Index counted from 0. The zero value is all of it.
type Shard struct{ Index, Count int }

// has reports whether the i-th device of the list belongs to the shard.
func (s Shard) has(i int) bool { return s.Count <= 1 || i%s.Count == s.Index }

// String gives the shard as people count, "2/4"; "" for all of it.
func (s Shard) String() string {
	if s.Count <= 1 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index+1, s.Count)
}

// memberColumns are those of a list of devices.
const memberColumns = 3

// ReadMembers reads the list that otasim devices create prints: product_key,
// device_name, device_secret.
func ReadMembers(path string) ([]Member, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(bufio.NewReader(f))
	r.FieldsPerRecord, r.ReuseRecord = memberColumns, true
	var out []Member
	products := map[string]string{} // each name once in memory
	for line := 1; ; line++ {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s is not what otasim devices create prints: %w", path, err)
		}
		if line == 1 && row[0] == "product_key" {
			continue
		}
		if len(out) == MaxDevices {
			return nil, fmt.Errorf("%s has more than %d devices", path, MaxDevices)
		}
		m := Member{Device: ota.Device{ProductKey: row[0], Name: row[1]}, Secret: row[2]}
		if err := m.Validate(); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, line, err)
		}
		p, ok := products[m.ProductKey]
		if !ok {
			p = m.ProductKey
			products[p] = p
		}
		m.ProductKey = p
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no devices", path)
	}
	return out, nil
}
