//go:build otad_small

package main

import "github.com/spf13/cobra"

func openChip(string) (chip, error) {
	return nil, exitf(exitConfig, "device.tpm", "a TPM is not possible with this build: it was made for small boards, otad_small (install another, or use device_secret_file)")
}

func (a *app) tpmCommands() []*cobra.Command { return nil }
