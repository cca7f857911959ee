package fleet

import (
	"hash/fnv"
	"math/rand/v2"

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
