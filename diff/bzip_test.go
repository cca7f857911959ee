package diff

import (
	"bytes"
	"compress/bzip2"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"pgregory.net/rapid"
)

func checkPacking(t interface {
	Helper()
	Fatalf(string, ...any)
}, data []byte) {
	t.Helper()
	stream := Bzip2(data)
	got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(stream)))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes: the standard library reads %d bytes, %v", len(data), len(got), err)
	}
	got, err = Bunzip2(stream)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("%d bytes: our reader reads %d bytes, %v", len(data), len(got), err)
	}
}

// kinds are byte sequences that exercise one corner of the format each.
func kinds() map[string][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 2_000_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	skewed := make([]byte, 300_000)
	for i := range skewed {
		skewed[i] = byte(rng.ExpFloat64() * 2)
	}
	runs := []byte{}
	for n := range 600 {
		runs = append(runs, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	var fibonacci []byte // frequencies that want very long codes
	for i, a, b := 0, 1, 1; i < 24; i, a, b = i+1, b, a+b {
		fibonacci = append(fibonacci, bytes.Repeat([]byte{byte(i), byte(i + 100)}, a)...)
	}
	rng.Shuffle(len(fibonacci), func(i, j int) { fibonacci[i], fibonacci[j] = fibonacci[j], fibonacci[i] })
	return map[string][]byte{
		"empty": nil, "one": {7}, "two": {7, 7}, "all bytes": random[:256],
		"zeros": make([]byte, 3_000_000), "random": random, "skewed": skewed, "runs": runs,
		"fibonacci": fibonacci, "period": bytes.Repeat([]byte("abcab"), 100_000),
		"text":                   bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog\n"), 30_000),
		"three blocks and a run": append(bytes.Clone(random[:bzipBlock-2]), bytes.Repeat([]byte{1}, 1000)...),
	}
}

func TestPackingKinds(t *testing.T) {
	for name, data := range kinds() {
		t.Run(name, func(t *testing.T) { checkPacking(t, data) })
	}
}

func TestPackingAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var data []byte
		for range rapid.IntRange(0, 20).Draw(t, "pieces") {
			piece := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "piece")
			data = append(data, bytes.Repeat(piece, rapid.IntRange(1, 80).Draw(t, "times"))...)
		}
		checkPacking(t, data)
	})
}

func TestPackingInPieces(t *testing.T) {
	data := kinds()["runs"]
	z := newBzip(new(sorter))
	for _, b := range data {
		z.write([]byte{b})
	}
	if !bytes.Equal(z.finish(), Bzip2(data)) {
		t.Fatal("the stream depends on how its bytes came")
	}
}

// TestPackingIsAsGoodAsLibbz2 packs real data, this very program, beside bzip2.
func TestPackingIsAsGoodAsLibbz2(t *testing.T) {
	program, err := exec.LookPath("bzip2")
	if err != nil {
		t.Skipf("not compared with libbz2: %v (apt-get install bzip2)", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	data = data[:min(len(data), 4_000_000)]
	c := exec.Command(program, "-9c")
	c.Stdin = bytes.NewReader(data)
	theirs, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	ours := Bzip2(data)
	t.Logf("%d bytes: %d with ours, %d with libbz2", len(data), len(ours), len(theirs))
	if float64(len(ours)) > 1.002*float64(len(theirs)) {
		t.Errorf("%d bytes, and libbz2 makes %d", len(ours), len(theirs))
	}
}
