package openapi

import (
	"context"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
)

// given reads a text that changes something only when it is there.
func (p *reader) given(name string, most int) *string {
	if !p.has(name) {
		return nil
	}
	s := p.text(name, most)
	return &s
}

// changed carries out a command that is answered with nothing but success.
func changed[T any](cmd simulator.Command) call {
	return func(ctx context.Context, s session) (answer, error) {
		if _, err := do[T](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}

func updateModule(p *reader) call {
	return changed[simulator.Module](simulator.UpdateModule{
		Product: p.need("ProductKey", maxKey),
		Name:    p.need("ModuleName", maxText),
		Alias:   p.given("AliasName", maxText),
		Desc:    p.given("Desc", maxText),
	})
}

func deleteModule(p *reader) call {
	return changed[simulator.Module](simulator.DeleteModule{
		Product: p.need("ProductKey", maxKey), Name: p.need("ModuleName", maxText),
	})
}

func deleteProduct(p *reader) call {
	return changed[simulator.Product](simulator.DeleteProduct{Product: p.need("ProductKey", maxKey)})
}

func deleteDevice(p *reader) call {
	which := readDevice(p)
	return func(ctx context.Context, s session) (answer, error) {
		d, err := which.find(ctx, s)
		if err != nil {
			return nil, err
		}
		if _, err := do[simulator.Device](ctx, s, simulator.DeleteDevice{Product: d.ProductKey, Name: d.Name}); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}

func modifyFirmware(p *reader) call {
	cmd := simulator.ModifyPackage{
		Package: p.need("FirmwareId", maxID),
		Name:    p.given("FirmwareName", maxText),
		Desc:    p.given("FirmwareDesc", maxText),
		UDI:     p.given("FirmwareUdi", ota.MaxUDILen),
	}
	product := p.text("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) {
		if err := s.checkProduct(ctx, product, cmd.Package); err != nil {
			return nil, err
		}
		if _, err := do[simulator.Package](ctx, s, cmd); err != nil {
			return nil, err
		}
		return &done{}, nil
	}
}

func deleteFirmware(p *reader) call {
	return changed[simulator.Package](simulator.DeletePackage{Package: p.need("FirmwareId", maxID)})
}

// checkProduct says that a package is not the product's, when one is named.
func (s session) checkProduct(ctx context.Context, product, pack string) error {
	if product == "" {
		return nil
	}
	found, err := do[simulator.Package](ctx, s, simulator.FindPackage{Package: pack})
	if err != nil {
		return err
	}
	if found.Product != product {
		return invalid("ProductKey", "is %q, but the package is one of the product %s", product, found.Product)
	}
	return nil
}
