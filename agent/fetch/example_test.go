package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leapslot/ota/agent/fetch"
)

// A download that is resumed where the last process left off.
func Example() {
	client, err := fetch.New(fetch.Options{RateLimit: 1 << 20})
	if err != nil {
		fmt.Println(err) // says which option is wrong
		return
	}
	have, validator := int64(0), "" // as saved by the process before
	body, err := client.Open(context.Background(), fetch.Request{
		URL: "https://files.example/fw.bin?auth_key=...", Size: 432945, Offset: have, Validator: validator,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer body.Close()
	file, err := os.OpenFile("fw.bin", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	n, err := io.Copy(file, body)
	have, validator = have+n, body.Validator() // to be saved
	switch {
	case errors.Is(err, fetch.ErrChanged):
		fmt.Println("the file was replaced: start over at 0")
	case err != nil:
		fmt.Println(err) // what the server did, with the URL's secret left out
	}
}
