package openapi

import (
	"context"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Bounds of what is read; the model has the rules.
const (
	maxKey         = ota.MaxProductKeyLen
	maxText        = 1024 // characters of names and descriptions
	productPage    = 10   // items of a page when PageSize is absent
	maxProductPage = 200
)

// What every product of ours is in the platform's words.
const (
	authSecret    = "secret"
	protocolMQTT  = "mqtt"
	developStatus = "DEVELOPMENT_STATUS"
	dataAlink     = 1 // DataFormat: Alink JSON
)

type productCreated struct {
	head
	ProductKey string
	Data       productBrief
}

type productBrief struct {
	ProductKey, ProductName, Description, ProductSecret string
	AuthType, ProtocolType                              string
	NodeType, DataFormat                                int
	Id2                                                 bool
}

// createProduct: what a product is for beside its OTA (categories, networks, data
// formats) is accepted and not kept.
func createProduct(p *reader) call {
	cmd := simulator.CreateProduct{
		Name:     p.need("ProductName", maxText),
		Desc:     p.text("Description", maxText),
		NodeType: int(p.number("NodeType", 0, 0, 1)),
	}
	p.choice("AuthType", authSecret, authSecret)
	return func(ctx context.Context, s session) (answer, error) {
		cmd.Account = s.who.Account
		made, err := do[simulator.Product](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		return &productCreated{ProductKey: made.Key, Data: productBrief{
			ProductKey: made.Key, ProductName: made.Name, Description: made.Desc, ProductSecret: made.Secret,
			AuthType: authSecret, ProtocolType: protocolMQTT, NodeType: made.NodeType, DataFormat: dataAlink,
		}}, nil
	}
}

type productDetail struct {
	GmtCreate                                           int64 // milliseconds since 1970
	ProductKey, ProductName, Description, ProductSecret string
	AuthType, ProtocolType, ProductStatus               string
	DeviceCount, NodeType, DataFormat                   int
	Id2, Owner                                          bool
}

func queryProduct(p *reader) call {
	key := p.need("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: key})
		if err != nil {
			return nil, err
		}
		devices, err := s.deviceCount(ctx, key)
		if err != nil {
			return nil, err
		}
		return data(productDetail{
			GmtCreate:  int64(found.Created),
			ProductKey: found.Key, ProductName: found.Name, Description: found.Desc, ProductSecret: found.Secret,
			AuthType: authSecret, ProtocolType: protocolMQTT, ProductStatus: developStatus,
			DeviceCount: devices, NodeType: found.NodeType, DataFormat: dataAlink, Owner: true,
		}), nil
	}
}

func (s session) deviceCount(ctx context.Context, product string) (int, error) {
	_, n, err := s.lists.Devices(ctx, store.DeviceFilter{Product: product}, store.Page{Number: 1, Size: 1})
	return n, err
}

type productList struct {
	CurrentPage, PageCount, PageSize, Total int
	List                                    struct{ ProductInfo []productInfo }
}

type productInfo struct {
	GmtCreate, CreateTime             int64 // milliseconds since 1970
	ProductKey, ProductName           string
	Description, AuthType             string
	DeviceCount, NodeType, DataFormat int
}

func queryProductList(p *reader) call {
	pg := p.page(productPage, maxProductPage)
	return func(ctx context.Context, s session) (answer, error) {
		found, total, err := s.lists.Products(ctx, s.who.Account, pg.ofStore())
		if err != nil {
			return nil, err
		}
		d := productList{CurrentPage: pg.Number, PageSize: pg.Size, PageCount: pg.Count(total), Total: total}
		d.List.ProductInfo = []productInfo{}
		for _, f := range found {
			devices, err := s.deviceCount(ctx, f.Key)
			if err != nil {
				return nil, err
			}
			d.List.ProductInfo = append(d.List.ProductInfo, productInfo{
				GmtCreate: int64(f.Created), CreateTime: int64(f.Created), ProductKey: f.Key, ProductName: f.Name,
				Description: f.Desc, AuthType: authSecret, DeviceCount: devices, NodeType: f.NodeType, DataFormat: dataAlink,
			})
		}
		return data(d), nil
	}
}

// security is the switch of P7, which the platform offers only in its console: the
// two actions about it are ours.
type security struct {
	ProductKey string
	Enable     bool
	PublicKey  string // PKIX PEM, what devices verify digestsign with; empty until first switched on
}

func securityOf(p simulator.Product) answer {
	return data(security{ProductKey: p.Key, Enable: p.SecureUpgrade, PublicKey: string(p.PublicKey)})
}

func updateSecurity(p *reader) call {
	cmd := simulator.SetSecureUpgrade{Product: p.need("ProductKey", maxKey), On: p.yes("Enable", true)}
	return func(ctx context.Context, s session) (answer, error) {
		changed, err := do[simulator.Product](ctx, s, cmd)
		if err != nil {
			return nil, err
		}
		return securityOf(changed), nil
	}
}

func querySecurity(p *reader) call {
	key := p.need("ProductKey", maxKey)
	return func(ctx context.Context, s session) (answer, error) {
		found, err := do[simulator.Product](ctx, s, simulator.FindProduct{Product: key})
		if err != nil {
			return nil, err
		}
		return securityOf(found), nil
	}
}
