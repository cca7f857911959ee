package main

import (
	"os"

	"github.com/spf13/pflag"

	"github.com/leapslot/ota/simulator/server"
)

// hookSecretEnv stands in for --webhook-secret, so that it need not be seen in a list of
// processes.
const hookSecretEnv = "OTASIM_WEBHOOK_SECRET"

// hookFlags are the flags of serve for what applications are told.
type hookFlags struct{ url, secret string }

func (h *hookFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&h.url, "webhook", "", "URL that applications are told at of ended upgrades, changed versions and jobs")
	fl.StringVar(&h.secret, "webhook-secret", "", "secret that calls of the webhook are signed with (or "+hookSecretEnv+")")
}

// config reads the flags; server.New checks them further.
func (h *hookFlags) config() (server.Webhook, error) {
	if h.secret == "" {
		h.secret = os.Getenv(hookSecretEnv)
	}
	if h.url != "" && h.secret == "" {
		return server.Webhook{}, usagef("--webhook needs --webhook-secret, or %s", hookSecretEnv)
	}
	return server.Webhook{URL: h.url, Secret: h.secret}, nil
}
