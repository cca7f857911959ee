package server

import (
	"context"
	"strings"

	"github.com/leapslot/ota/simulator/server/console"
)

// newConsole makes the console. Its users are of the account that they were added with,
// and else of that of the key the server was started with, or of the only one there is.
func (s *Server) newConsole(ctx context.Context, c Config, keys *keyring) (*console.Server, error) {
	account := c.AccessKey.Account
	if account == "" {
		stored, err := s.store.ListKeys(ctx)
		if err != nil {
			return nil, err
		}
		for i, k := range stored {
			if account = k.Account; i > 0 && k.Account != stored[0].Account {
				account = ""
				break
			}
		}
	}
	return console.New(console.Config{
		Engine: commands{s}, Store: s.store, Files: s.files, Keys: keys, Account: account, MaxPushRate: c.MaxPushRate,
		Secure: strings.HasPrefix(c.PublicURL, "https://"), Now: s.engine.clock.now, News: s.engine.news.Load, Log: s.log, History: s.pastOf(),
	})
}
