package openapi

import (
	"reflect"
	"strconv"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// compare asks with the official client in every way that there is, GET and POST, JSON
// and XML: it reads the same each time.
func (as *answers) compare(action string, params map[string]string) {
	t := as.tw.t
	t.Helper()
	typ, ok := requestOf(action)
	if !ok {
		return // ours
	}
	call := reflect.ValueOf(as.tw.client).MethodByName(action)
	var first any
	for _, way := range [][2]string{{"POST", "JSON"}, {"POST", "XML"}, {"GET", "JSON"}, {"GET", "XML"}} {
		rpc := &requests.RpcRequest{}
		rpc.InitWithApiInfo("Iot", Version, action, "iot", "openAPI")
		rpc.Method, rpc.AcceptFormat = way[0], way[1]
		req := reflect.New(typ)
		req.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
		setParams(req.Elem(), "", params)
		out := call.Call([]reflect.Value{req})
		if err, _ := out[1].Interface().(error); err != nil {
			t.Fatalf("%s %v: %v", action, way, err)
		}
		answer := out[0].Elem()
		answer.FieldByName("RequestId").SetString("")
		answer.FieldByName("BaseResponse").SetZero()
		if !answer.FieldByName("Success").Bool() {
			t.Errorf("%s %v: %+v", action, way, answer)
		}
		if first == nil {
			first = answer.Interface()
		} else if diff := cmp.Diff(first, answer.Interface(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: %v is read otherwise than POST JSON (-JSON):\n%s", action, way, diff)
		}
	}
}

// setParams sets the fields of a request that parameters are for.
func setParams(req reflect.Value, prefix string, params map[string]string) {
	for i := range req.NumField() {
		f := req.Field(i)
		name := prefix + req.Type().Field(i).Tag.Get("name")
		switch {
		case name == prefix: // the client's own
		case f.Kind() == reflect.String:
			f.SetString(params[name])
		default: // a pointer to a list
			setList(f, name, params)
		}
	}
}

func setList(f reflect.Value, name string, params map[string]string) {
	list := reflect.New(f.Type().Elem())
	for i := 1; ; i++ {
		at := name + "." + strconv.Itoa(i)
		item := reflect.New(list.Elem().Type().Elem()).Elem()
		if item.Kind() == reflect.String {
			item.SetString(params[at])
		} else {
			setParams(item, at+".", params)
		}
		if item.IsZero() {
			break
		}
		list.Elem().Set(reflect.Append(list.Elem(), item))
	}
	if list.Elem().Len() > 0 {
		f.Set(list)
	}
}
