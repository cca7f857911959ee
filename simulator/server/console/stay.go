package console

import (
	"errors"
	"net/http"

	"github.com/leapslot/ota/simulator"
)

// stay shows a page of its own address again, with what a button on it was refused for
// above. What is no refusal stays an error, and so does that the thing of the page is
// gone: then there is no page to stay on.
func (v *visit) stay(err error, at string, page func() error) error {
	var no *simulator.Error
	var p *problem
	switch {
	case errors.As(err, &p):
		v.status, v.alert = p.status, v.t(p.key, p.pairs...)
	case errors.As(err, &no) && no.Code != simulator.NotFound:
		v.status, v.alert = http.StatusUnprocessableEntity, v.refusal(err)
	default:
		return err
	}
	v.at = at
	if again := page(); again != nil {
		v.at, v.alert = "", ""
		return err
	}
	return nil
}

// path is the address of the page that is shown: of the request, but when a form that was
// sent elsewhere is shown again.
func (v *visit) path() string {
	if v.at != "" {
		return v.at
	}
	return v.r.URL.Path
}
