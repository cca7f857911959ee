package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/broker"
)

// Register implements broker.Registrar.
func (g *gate) Register(ctx context.Context, d ota.Device, l ota.Login, fresh bool) (ota.Registered, error) {
	v, err := g.engine.Do(ctx, simulator.RegisterDynamic{Device: d, Login: l, Fresh: fresh})
	var refused *simulator.Error
	if errors.As(err, &refused) {
		return ota.Registered{}, fmt.Errorf("%w: %w", broker.ErrRefused, err)
	}
	if err != nil {
		return ota.Registered{}, err
	}
	if g.record != nil {
		g.record.registered(d, fresh)
	}
	return v.(ota.Registered), nil
}

// Token implements broker.Registrar.
func (g *gate) Token(ctx context.Context, d ota.Device, clientID, token string) error {
	dev, err := g.engine.device(ctx, d)
	var refused *simulator.Error
	switch {
	case errors.As(err, &refused):
		return fmt.Errorf("%s: %w", d, broker.ErrUnknown)
	case err != nil:
		return err
	case dev.Disabled:
		return fmt.Errorf("%s: %w", d, broker.ErrDisabled)
	case !dev.IsToken(clientID, token):
		return fmt.Errorf("%w: it is not the device's token", broker.ErrRefused)
	}
	return nil
}
