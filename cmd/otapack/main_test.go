package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"otapack": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("VECTORS", mustAbs("testdata"))
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "classic" {
				return classicTools(t), nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"images": images,
			"mode":   mode,
			"size":   size,
			"keys":   keys,
			"signed": signed,
		},
	})
}

// classicTools says whether the classic bsdiff is here; only a short run may
// go without.
func classicTools(t *testing.T) bool {
	_, err := exec.LookPath("bspatch")
	if err != nil && !testing.Short() {
		t.Errorf("%v: the scripts need the classic tools (apt-get install bsdiff)", err)
	}
	if err != nil {
		t.Logf("not checked against the classic tools: %v", err)
	}
	return err == nil
}

func mustAbs(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(err)
	}
	return abs
}

// exits CODE otapack ARGS... runs it and wants this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if ee, ok := err.(*exec.ExitError); ok {
		got = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// images OLD NEW writes two similar images of 200,000 bytes.
func images(ts *testscript.TestScript, _ bool, args []string) {
	old := make([]byte, 200_000)
	state := sha256.Sum256([]byte("images"))
	for i := 0; i < len(old); i += len(state) {
		copy(old[i:], state[:])
		state = sha256.Sum256(state[:])
	}
	new := bytes.Join([][]byte{old[50_000:120_000], []byte("something new"), old[:50_000], old[130_000:]}, nil)
	for i := 0; i < len(new); i += 999 {
		new[i]++
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), old, 0o666))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), new, 0o666))
}

// mode PERM FILE wants these permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	fi, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", fi.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// size BYTES FILE makes a file of this size.
func size(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Check(f.Truncate(n))
	ts.Check(f.Close())
}

// keys writes one private key of each kind that somebody might try.
func keys(ts *testscript.TestScript, _ bool, _ []string) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	ts.Check(err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	ts.Check(err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	save := func(name, kind string, der []byte, err error) {
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	}
	save("pkcs1.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(big), nil)
	der, err := x509.MarshalPKCS8PrivateKey(big)
	save("pkcs8.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(&big.PublicKey)
	save("public.pem", "PUBLIC KEY", der, err)
	save("small.pem", "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small), nil)
	der, err = x509.MarshalPKCS8PrivateKey(ec)
	save("ec.pem", "PRIVATE KEY", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(ed)
	save("ed.pem", "PRIVATE KEY", der, err)
	save("encrypted.pem", "ENCRYPTED PRIVATE KEY", []byte{1}, nil)
	save("broken.pem", "RSA PRIVATE KEY", []byte{1, 2, 3}, nil)
}

// signed PUBLIC FILE METHOD SIGNATURE checks a signature as a device does.
func signed(ts *testscript.TestScript, neg bool, args []string) {
	digest, err := digestOf(context.Background(), ts.MkAbs(args[1]), ota.SignMethod(args[2]))
	ts.Check(err)
	err = checkSignature(ts.ReadFile(args[0]), digest, ts.ReadFile(args[3]))
	if neg != (err != nil) {
		ts.Fatalf("signature: %v", err)
	}
}

func checkSignature(public string, digest []byte, b64 string) error {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(b64))
	if err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(public))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(digest)
	return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, sum[:], sig)
}

// TestEveryCommandShowsAnExample: what --help promises, for each of ours.
func TestEveryCommandShowsAnExample(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if !strings.Contains(c.Example, "otapack ") || c.Short == "" {
			t.Errorf("%s has no example or no description", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check((&env{}).command())
}

func TestBarOnATerminal(t *testing.T) {
	var err bytes.Buffer
	b := (&env{err: &err, terminal: true}).bar("diff")
	for done := range int64(1001) {
		b.show(done, 1000)
	}
	b.clear()
	if n := strings.Count(err.String(), "\r"); n != 102 {
		t.Errorf("drawn %d times, want once for each percentage and once to clear", n)
	}
	if !strings.Contains(err.String(), "[########################################] 100 %\r\x1b[K") {
		t.Errorf("ends with %q", err.String()[max(0, err.Len()-80):])
	}
}

func TestCompressedKinds(t *testing.T) {
	erofs := func(features byte) string {
		return strings.Repeat("\x00", 1024) + "\xe2\xe1\xf5\xe0" + strings.Repeat("\x00", 76) + string([]byte{features, 0, 0, 0})
	}
	zboot := func(name string) string {
		return "MZ\x00\x00zimg" + strings.Repeat("\x00", 16) + name + strings.Repeat("\x00", 40)
	}
	squashfs := func(compressor, flags byte) string {
		sb := make([]byte, 96)
		copy(sb, "hsqs")
		sb[20], sb[24] = compressor, flags
		return string(sb)
	}
	for head, want := range map[string]string{
		"": "", "plain": "", "\x1f\x8b\x08": "gzip", "\xfd7zXZ\x00": "xz", "\x28\xb5\x2f\xfd": "zstd",
		"BZh9": "bzip2", "\x04\x22\x4d\x18": "lz4", "PK\x03\x04": "zip", "hsqs": "",
		squashfs(1, 0): "gzip squashfs", squashfs(6, 0): "zstd squashfs", squashfs(9, 0): "squashfs",
		squashfs(1, 2):     "",
		"\x02\x21\x4c\x18": "lz4", "\x89LZO\x00\r\n\x1a\n": "lzop", "7z\xbc\xaf\x27\x1c": "7z",
		erofs(0): "", erofs(1): "compressed EROFS", erofs(2): "compressed EROFS", erofs(4): "",
		zboot("gzip"): "gzip kernel", zboot("zstd"): "zstd kernel", zboot("\x1b[2J"): "compressed kernel", "MZ": "",
		strings.Repeat("\x00", 514) + "HdrS": "compressed kernel", strings.Repeat("\x00", 4096): "",
	} {
		if got := compressedKind([]byte(head)); got != want {
			t.Errorf("%q: %q, want %q", head, got, want)
		}
	}
}
