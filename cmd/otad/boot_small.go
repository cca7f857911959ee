//go:build otad_small

package main

import (
	"errors"

	"github.com/leapslot/ota/platform"
)

// noPCBoot says why the boot loaders of PCs and servers are not in this build.
const noPCBoot = "it was built for small boards (otad_small)"

func newPCBoot(bootConfig, func() (string, error)) (platform.Boot, error) {
	return nil, errors.New("not in this build: " + noPCBoot)
}
