package openapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds an answer that is read.
const maxAnswer = 16 << 20

// Client calls the cloud API, ours or the real one. It is safe for concurrent use.
type Client struct {
	endpoint string
	key      Key
	http     *http.Client
	now      func() time.Time
}

// CallError is what the API answered instead of success.
type CallError struct {
	Action    string
	Status    int // of HTTP; 200 when the platform refused, another when the gateway did
	Code      string
	Message   string
	RequestID string
}

func (e *CallError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("%s: %s", e.Action, e.Code)
	}
	return fmt.Sprintf("%s: %s: %s", e.Action, e.Code, e.Message)
}

// NewClient makes a client of the API at endpoint, http:// or https:// and a host.
// timeout bounds every call as a whole.
func NewClient(endpoint string, key Key, timeout time.Duration) (*Client, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the endpoint %q is not of the form http://HOST:PORT or https://HOST", endpoint)
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("the endpoint %q has more than a scheme, a host and a port: the API is always at the path /", endpoint)
	}
	if key.ID == "" || key.Secret == "" {
		return nil, errors.New("the access key is incomplete: it is ID:SECRET")
	}
	return &Client{
		endpoint: u.Scheme + "://" + u.Host + "/",
		key:      key,
		now:      time.Now,
		http: &http.Client{
			Timeout: timeout,
			// The form is signed for this host: it goes nowhere else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// ParseKey reads an access key written as ID:SECRET.
func ParseKey(s string) (Key, error) {
	id, secret, ok := strings.Cut(s, ":")
	if !ok || id == "" || secret == "" {
		return Key{}, errors.New("the access key is not of the form ID:SECRET")
	}
	return Key{ID: id, Secret: secret}, nil
}

// Call makes one call of an action with its parameters, and gives the answer as it
// came, in JSON. A *CallError is a refusal; any other error means that it is not
// known whether the call was carried out.
func (c *Client) Call(ctx context.Context, action string, params map[string]string) (json.RawMessage, error) {
	form := c.sign(action, params)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: the cloud was not reached: %w", action, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%s: the answer broke off: %w", action, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%s: the answer is longer than %d bytes", action, maxAnswer)
	}
	return judge(action, resp.StatusCode, body)
}

// sign completes the parameters of a call.
func (c *Client) sign(action string, params map[string]string) url.Values {
	all := maps.Clone(params)
	if all == nil {
		all = map[string]string{}
	}
	for name, value := range map[string]string{
		"Action": action, "Version": Version, "Format": formatJSON,
		"AccessKeyId": c.key.ID, "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
		"SignatureNonce": rand.Text(), "Timestamp": c.now().UTC().Format(TimeFormat),
	} {
		all[name] = value
	}
	delete(all, signatureName)
	all[signatureName] = Sign(c.key.Secret, http.MethodPost, all)
	form := make(url.Values, len(all))
	for name, value := range all {
		form.Set(name, value)
	}
	return form
}

// judge tells an answer from a refusal.
func judge(action string, status int, body []byte) (json.RawMessage, error) {
	var head struct {
		RequestId, Code, Message, ErrorMessage string
		Success                                *bool
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return nil, fmt.Errorf("%s: HTTP status %d and no JSON: is this the cloud API's address?", action, status)
	}
	if status == http.StatusOK && head.Success != nil && *head.Success {
		return body, nil
	}
	e := &CallError{Action: action, Status: status, Code: head.Code, Message: head.ErrorMessage, RequestID: head.RequestId}
	if e.Message == "" {
		e.Message = head.Message
	}
	if e.Code == "" {
		e.Code = fmt.Sprintf("HTTP status %d", status)
	}
	return nil, e
}
