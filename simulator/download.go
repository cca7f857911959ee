package simulator

import "github.com/leapslot/ota"

// Protocol is how the devices of a job get a package's files, spelled as in the
// cloud API. Empty is HTTPS.
type Protocol string

// The protocols (protocol section 6).
const (
	HTTPS Protocol = "HTTPS"
	MQTT  Protocol = "MQTT"
)

// checkDownload says why devices cannot get the package so: over MQTT there is one
// file of at most 16 MB. A package of several files has no digestsign, which the
// platform defines for one file alone, so a product with secure upgrade refuses it
// (P7): its devices would have to install what they cannot verify.
func (c *Cloud) checkDownload(p *pack, how Protocol) error {
	switch how {
	case "", HTTPS:
	case MQTT:
		if len(p.Files) != 1 {
			return fail(Invalid, "DownloadProtocol", "package %s has %d files, over MQTT there is one: use %s", p.ID, len(p.Files), HTTPS)
		}
		if n := p.Size(); n > ota.MaxMQTTFileSize {
			return fail(Invalid, "DownloadProtocol", "package %s has %d bytes, over MQTT at most %d: use %s", p.ID, n, ota.MaxMQTTFileSize, HTTPS)
		}
	default:
		return fail(Invalid, "DownloadProtocol", "%q is neither %s nor %s", string(how), HTTPS, MQTT)
	}
	if len(p.Files) > 1 && c.products[p.Product].SecureUpgrade {
		return fail(Refused, "Package", "package %s has %d files: the signature of secure upgrade is defined for one, switch it off for the product or make a package of one file", p.ID, len(p.Files))
	}
	return nil
}

// Offer is what a device may fetch now.
type Offer struct {
	Task     Task
	Files    []File
	Protocol Protocol
}

// FindOffers gives what a device may fetch: the packages of its unfinished tasks
// whose notice was sent. Result: []Offer, none for a device that is not there.
type FindOffers struct{ Device ota.Device }

func (cmd FindOffers) apply(c *Cloud, _ Stamp) (any, error) {
	var out []Offer
	d, err := c.device(cmd.Device.ProductKey, cmd.Device.Name)
	if err != nil {
		return out, nil
	}
	for _, t := range d.active {
		if t.Status != Queued && t.Status != Unconfirmed {
			out = append(out, Offer{t.Task, t.job.pkg.Files, t.job.Protocol})
		}
	}
	return out, nil
}
