package openapi

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxNonces is how many nonces one generation remembers, about 40 MB when full.
// Two generations are kept: some 580 requests a second can be remembered.
const maxNonces = 1 << 20

// nonces remembers the nonces of signed requests long enough that none is accepted
// twice: a request is refused by its timestamp maxSkew after it was signed, and may
// be signed up to maxSkew ahead of our clock. Only verified requests get here, so
// that a stranger can neither fill it nor use up somebody's nonces.
type nonces struct {
	mu      sync.Mutex
	limit   int
	began   time.Time // when the present generation began
	present map[[16]byte]struct{}
	former  map[[16]byte]struct{}
}

func newNonces(limit int) *nonces {
	return &nonces{limit: limit, present: map[[16]byte]struct{}{}}
}

type nonceVerdict int

const (
	nonceNew nonceVerdict = iota
	nonceUsed
	nonceFull // nothing more can be remembered, so nothing more can be accepted
)

// use remembers a nonce of an access key.
func (n *nonces) use(key, nonce string, now time.Time) nonceVerdict {
	sum := sha256.Sum256([]byte(key + "\x00" + nonce))
	id := [16]byte(sum[:16])
	n.mu.Lock()
	defer n.mu.Unlock()
	n.turn(now)
	if _, ok := n.present[id]; ok {
		return nonceUsed
	}
	if _, ok := n.former[id]; ok {
		return nonceUsed
	}
	if len(n.present) >= n.limit {
		return nonceFull
	}
	n.present[id] = struct{}{}
	return nonceNew
}

// turn begins a new generation once the present one is 2*maxSkew old: whatever the
// one before it holds can then no longer be replayed. When the clock jumps back,
// the present generation starts again and is kept for longer; when it jumps ahead,
// one generation is still there.
func (n *nonces) turn(now time.Time) {
	age := now.Sub(n.began)
	if n.began.IsZero() || age < 0 {
		n.began = now
		return
	}
	if age < 2*maxSkew {
		return
	}
	n.former, n.present = n.present, map[[16]byte]struct{}{}
	n.began = now
}
