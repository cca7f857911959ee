package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/leapslot/ota"
)

// BenchmarkNotice is the wire form of the notice that full updates are measured
// with.
func BenchmarkNotice(b *testing.B) {
	n := ota.Notice{ID: 1777439217705, Module: "default", Version: nextVersion, SignMethod: ota.SHA256, Files: []ota.File{{
		URL:  "http://127.0.0.1:8080/p/5f1c/full.img?expires=1777525617&device=a1bench/update-1&signature=0123456789abcdef0123456789abcdef",
		Size: updateSize, Sign: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}}
	wire, err := ota.EncodePush(n)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := ota.DecodeNotice(wire); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			if _, err := ota.EncodePush(n); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkHandshake is what a server signs in each full TLS 1.3 handshake. OpenSSL's
// figure is the one that `openssl speed` prints, which measures itself.
func BenchmarkHandshake(b *testing.B) {
	digest := make([]byte, 32)
	b.Run("rsa", func(b *testing.B) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := key.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ecdsa", func(b *testing.B) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("openssl", func(b *testing.B) {
		out, err := exec.Command("openssl", "speed", "-seconds", "1", "rsa2048").Output()
		if err != nil {
			b.Skipf("openssl speed: %v", err)
		}
		var sign float64
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) > 3 && f[0] == "rsa" {
				sign, err = strconv.ParseFloat(strings.TrimSuffix(f[3], "s"), 64)
			}
		}
		if err != nil || sign == 0 {
			b.Fatalf("openssl speed: %q, %v", out, err)
		}
		b.ReportMetric(sign*1e9, "ns/op")
	})
}
