package main

import (
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
