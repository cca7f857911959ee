package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leapslot/ota"
	"github.com/leapslot/ota/simulator"
	"github.com/leapslot/ota/simulator/server/store"
)

// Devices in the field (protocol section 11), byte for byte: these tests write the
// packets that such a device writes, and nothing else, to the real server in virtual
// time.

// raw is a device that says what a test writes. It acknowledges nothing.
type raw struct {
	net.Conn
	t   *testing.T
	dev ota.Device
	got chan message
}

// raw signs a device in as the C SDK does, with clean session 0 or 1.
func (c *cloud) raw(name string, cleanSession byte) *raw {
	c.t.Helper()
	dev := c.do(simulator.FindDevice{Product: c.product, Name: name}).(simulator.Device)
	id := c.product + "." + name
	content := "clientId" + id + "deviceName" + name + "productKey" + c.product + "timestamp2524608000000"
	password, err := ota.HMACSHA256.Sign(dev.Secret, content)
	if err != nil {
		c.t.Fatal(err)
	}
	id += "|timestamp=2524608000000,_ss=1,_v=sdk-c-4.2.0,securemode=3,signmethod=hmacsha256,ext=1,_conn=tcp_random,|"
	body := append(mqttText("MQTT"), 4, 0xc0|cleanSession<<1, 0x04, 0xb0) // 1200 s
	body = append(append(append(body, mqttText(id)...), mqttText(name+"&"+c.product)...), mqttText(strings.ToUpper(password))...)
	near, far := net.Pipe()
	go c.Broker().ServeConn(far)
	d := &raw{Conn: near, t: c.t, dev: dev.Device, got: make(chan message, 5000)}
	d.send(0x10, body)
	answer := make([]byte, 4)
	if _, err := io.ReadFull(near, answer); err != nil || string(answer) != "\x20\x02\x00\x00" {
		c.t.Fatalf("CONNACK % x, %v", answer, err)
	}
	go d.read()
	return d
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// send writes one packet.
func (d *raw) send(first byte, body []byte) {
	d.t.Helper()
	if _, err := d.Write(append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)); err != nil {
		d.t.Fatal(err)
	}
}

// say publishes with QoS 0 and waits until the server has done what follows from it.
func (d *raw) say(kind ota.TopicKind, payload string) {
	d.t.Helper()
	d.send(0x30, append(mqttText(kind.Of(d.dev)), payload...))
	synctest.Wait()
}

// say1 publishes with QoS 1.
func (d *raw) say1(kind ota.TopicKind, id uint16, payload string) {
	d.t.Helper()
	d.send(0x32, append(binary.BigEndian.AppendUint16(mqttText(kind.Of(d.dev)), id), payload...))
	synctest.Wait()
}

// read takes what the server sends until the connection ends: messages go to got.
func (d *raw) read() {
	defer close(d.got)
	for r := bufio.NewReader(d); ; {
		first, err := r.ReadByte()
		if err != nil {
			return
		}
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		if first>>4 == 3 {
			topic := body[2:][:binary.BigEndian.Uint16(body)]
			rest := body[2+len(topic):]
			if first&0x06 != 0 {
				rest = rest[2:]
			}
			d.got <- message{string(topic), rest}
		}
	}
}

// hears gives the next message, which is there already.
func (d *raw) hears(kind ota.TopicKind) string {
	d.t.Helper()
	synctest.Wait()
	select {
	case m := <-d.got:
		if m.topic != kind.Of(d.dev) {
			d.t.Errorf("on %s: %s", m.topic, m.payload)
		}
		return string(m.payload)
	default:
		d.t.Fatalf("%s heard nothing", d.dev.Name)
		return ""
	}
}

func (c *cloud) task(j simulator.Job, device string) simulator.Task {
	c.t.Helper()
	list, _, err := c.store.Tasks(c.t.Context(), store.TaskFilter{Job: j.ID, Product: c.product, Devices: []string{device}}, store.Page{Number: 1})
	if err != nil || len(list) != 1 {
		c.t.Fatalf("%d tasks of %s, %v", len(list), device, err)
	}
	return list[0]
}

// C SDK 4.2.0: no SUBSCRIBE, no PUBACK, all QoS 0, one counter of numbers for the ids.
func TestFieldC4UpdatesWithoutSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.raw("d1", 1)
		defer d.Close()
		d.say(ota.TopicInform, `{"id":1, "params":{"version":"1.0.0"}}`)
		j := c.batch(p, nil)
		if got := d.hears(ota.TopicUpgrade); !strings.HasPrefix(got, `{"code":"1000","data":{"size":10,`) {
			t.Error(got)
		}
		d.say(ota.TopicProgress, `{"id":2, "params":{"step":"0","desc":"","module":"default"}}`)
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		d.say(ota.TopicProgress, `{"id":3, "params":{"step":"100","desc":"","module":"default"}}`)
		c.wantCounts(j, simulator.Counts{InProgress: 1}) // 100 % is no success
		d.say(ota.TopicInform, `{"id":4, "params":{"version":"2.0"}}`)
		c.wantCounts(j, simulator.Counts{Succeeded: 1})
		d.say(ota.TopicGet, `{"id":5, "params":{}}`)
		if got := d.hears(ota.TopicGetReply); got != `{"id":"5","code":200,"data":{},"message":"success"}` {
			t.Error(got)
		}
	})
}

// C SDK 3.2.0: clean session 0, informs with QoS 1, the id of progress is always 0, and
// it reports 100 before it finds that the digest is wrong.
func TestFieldC3Reports100ThenFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		d := c.raw("d1", 0)
		defer d.Close()
		d.say1(ota.TopicInform, 1, `{"id":0,"params":{"version":"1.0.0","module":"default"}}`)
		j := c.batch(p, nil)
		d.hears(ota.TopicUpgrade)
		for _, step := range []string{"0", "50", "50", "100"} {
			d.say(ota.TopicProgress, `{"id":0,"params":{"step":"`+step+`","desc":"", "module":"default"}}`)
		}
		c.wantCounts(j, simulator.Counts{InProgress: 1})
		if got := c.task(j, "d1"); got.Step != 100 {
			t.Errorf("step %d", got.Step)
		}
		d.say(ota.TopicProgress, `{"id":0,"params":{"step":"-3","desc":"", "module":"default"}}`)
		if got := c.task(j, "d1"); got.Status != simulator.Failed || got.Step != -3 {
			t.Errorf("%s, step %d", got.Status, got.Step)
		}
	})
}

// Trailing commas and NULs, ids that are numbers, strings, missing or always the same,
// steps that are numbers: all of them are understood.
func TestFieldSpellings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		c.fill("d1")
		d := c.raw("d1", 1)
		defer d.Close()
		for i, format := range []string{
			`{"id":1, "params":{"version":"%s"}}`,
			`{"id":"1","params":{"version":"%s"}}`,
			`{"id":0,"params":{"version":"%s"}}`,
			`{"id":0,"params":{"version":"%s"}}`,
			`{"params":{"version":"%s"}}`,
			`{"id":1,"params":{"version":"%s",}}`,
			`{"id":1,"params":{"version":"%s"},}`,
			"{\"id\":1,\"params\":{\"version\":\"%s\"}}\x00",
			"{\"id\":1,\"params\":{\"version\":\"%s\",},}\x00\x00",
			`{"id":4294967295,"params":{"version":"%s","module":"default"}}`,
			"\r\n{ \"id\" : \"1\" , \"params\" : { \"version\" : \"%s\" , \"module\" : \"\" } }\r\n",
		} {
			want := fmt.Sprintf("1.%d", i)
			d.say(ota.TopicInform, fmt.Sprintf(format, want))
			if got := c.do(simulator.FindDevice{Product: c.product, Name: "d1"}).(simulator.Device); got.Version(ota.DefaultModule) != want {
				t.Errorf("%q: the version is %s", format, got.Version(ota.DefaultModule))
			}
		}
		for _, ask := range []string{`{"id":0, "params":{}}`, `{"id":"0","params":{"module":"default",},}` + "\x00"} {
			d.say(ota.TopicGet, ask)
			if got := d.hears(ota.TopicGetReply); got != `{"id":"0","code":200,"data":{},"message":"success"}` {
				t.Errorf("%s: %s", ask, got)
			}
		}
	})
}

// Every [C] rule of a notice (protocol section 3), in golden bytes: compact, fields and
// values spelled as the SDKs compare them, & < > as they are, extData last, URLs short.
func TestFieldNoticeBytes(t *testing.T) {
	sum, digest := strings.Repeat("ab", 16), strings.Repeat("cd", 32)
	for want, pkg := range map[string]simulator.CreatePackage{
		`{"code":"1000","data":{"size":10,"sign":"` + sum + `","version":"2.0","signMethod":"Md5","url":"URL","md5":"` + sum + `","extData":{"_package_udi":"{\"a\":\"<&>\"}"}},"id":ID,"message":"success"}`: {
			SignMethod: ota.MD5, UDI: `{"a":"<&>"}`,
		},
		`{"code":"1000","data":{"size":10,"sign":"` + digest + `","version":"2.0","isDiff":1,"signMethod":"SHA256","url":"URL","md5":"` + sum + `","module":"MCU"},"id":ID,"message":"success"}`: {
			SignMethod: ota.SHA256, Module: "MCU", Diff: true, Source: "1.0",
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, t.TempDir()).run()
			defer c.stop()
			key := c.fill("d1").Files[0].Key
			if pkg.Module != "" {
				c.do(simulator.CreateModule{Product: c.product, Name: pkg.Module})
			}
			pkg.Product, pkg.Name, pkg.Version = c.product, "other", "2.0"
			pkg.Files = []simulator.File{{Name: "fw.bin", Key: key, Size: 10, MD5: sum, SHA256: digest}}
			d := c.raw("d1", 1)
			defer d.Close()
			d.say(ota.TopicInform, `{"id":1, "params":{"version":"1.0","module":"`+pkg.Module+`"}}`)
			c.batch(c.do(pkg).(simulator.Package), nil)
			got := d.hears(ota.TopicUpgrade)
			_, url, _ := strings.Cut(got, `"url":"`)
			url, _, _ = strings.Cut(url, `"`)
			if host, path, ok := strings.Cut(strings.TrimPrefix(url, "http://"), "/"); !ok || len(url) > ota.MaxEmittedURLLen || len(host) > 255 || len(path) > 254 {
				t.Errorf("URL %q", url)
			}
			id := fmt.Sprint(time.Now().UnixMilli())
			if want := strings.NewReplacer("URL", url, "ID", id).Replace(want); got != want || len(id) != 12 {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			d.say(ota.TopicGet, `{"id":7, "params":{"module":"`+pkg.Module+`"}}`)
			reply := d.hears(ota.TopicGetReply)
			data := got[strings.Index(got, `{"size"`):strings.Index(got, `,"id":`)]
			begin, end, _ := strings.Cut(data, url)
			if !strings.HasPrefix(reply, `{"id":"7","code":200,"data":`+begin) || !strings.HasSuffix(reply, end+`,"message":"success"}`) {
				t.Errorf("answered %s", reply)
			}
		})
	}
}

// The two forms that need more: signed, and over MQTT. size, sign, version, url and
// signMethod are what 4.x asks for, streamId with dProtocol, md5 what 3.2.0 does.
func TestFieldNoticeBytesSignedAndOverMQTT(t *testing.T) {
	sum := strings.Repeat("ab", 16)
	for _, tt := range []struct {
		mqtt bool
		want string
	}{
		{false, `{"code":"1000","data":{"size":10,"sign":"` + sum + `","version":"2.0","signMethod":"Md5","url":"URL","md5":"` + sum + `","digestsign":"SIGN","extData":{"_package_udi":"{\"a\":1}","color":"a&b"}},"id":ID,"message":"success"}`},
		{true, `{"code":"1000","data":{"size":10,"streamId":STREAM,"sign":"` + sum + `","dProtocol":"mqtt","version":"2.0","signMethod":"Md5","streamFileId":1,"md5":"` + sum + `","digestsign":"SIGN","extData":{"_package_udi":"{\"a\":1}","color":"a&b"}},"id":ID,"message":"success"}`},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, t.TempDir()).run()
			defer c.stop()
			p := c.fill("d1")
			c.do(simulator.SetSecureUpgrade{Product: c.product, On: true})
			d := c.raw("d1", 1)
			defer d.Close()
			c.batch(p, func(b *simulator.CreateStaticJob) {
				b.Tags = []simulator.Tag{{Key: "color", Value: "a&b"}}
				if tt.mqtt {
					b.Protocol = simulator.MQTT
				}
			})
			got := d.hears(ota.TopicUpgrade)
			n, _, err := ota.DecodeNotice([]byte(got))
			if err != nil {
				t.Fatalf("%s: %v", got, err)
			}
			stream := ""
			if n.Stream != nil {
				stream = fmt.Sprint(n.Stream.ID)
			}
			want := strings.NewReplacer("URL", n.Files[0].URL, "SIGN", n.DigestSign, "STREAM", stream, "ID", fmt.Sprint(n.ID)).Replace(tt.want)
			if got != want || n.DigestSign == "" {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// Steps of 0 begin the upgrade, and any step below 0 ends it, below -4 too.
func TestFieldStepsBelowMinus4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		steps := []string{`"-1"`, `"-4"`, `"-5"`, `-71`, `"-2147483648"`}
		var names []string
		for i := range steps {
			names = append(names, fmt.Sprintf("d%d", i))
		}
		j := c.batch(c.fill(names...), nil)
		for i, step := range steps {
			d := c.raw(names[i], 1)
			time.Sleep(time.Second) // until the batch's rate allows it
			d.hears(ota.TopicUpgrade)
			d.say(ota.TopicProgress, `{"id":0,"params":{"step":"0","desc":"", "module":"default"}}`)
			if got := c.task(j, names[i]); got.Status != simulator.InProgress || got.Step != 0 {
				t.Errorf("step 0: %s, step %d", got.Status, got.Step)
			}
			d.say(ota.TopicProgress, `{"id":0,"params":{"step":`+step+`,"desc":"x"}}`)
			if got := c.task(j, names[i]); got.Status != simulator.Failed || fmt.Sprint(got.Step) != strings.Trim(step, `"`) {
				t.Errorf("step %s: %s, step %d", step, got.Status, got.Step)
			}
			d.Close()
		}
	})
}

// C SDK 4.2.0 on a 404: 300 progress messages a second, without end. It is read at its
// rate; whoever else publishes is acknowledged in the same moment.
func TestF7Field300ProgressASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		j := c.batch(c.fill("bad", "good"), nil)
		bad, good := c.raw("bad", 1), c.connect("good")
		defer good.off()
		good.notice()
		stopped := make(chan int)
		go func() {
			tick := time.NewTicker(time.Second / 300)
			defer tick.Stop()
			for n := 0; ; n++ {
				<-tick.C
				body := append(mqttText(ota.TopicProgress.Of(bad.dev)), fmt.Sprintf(`{"id":%d, "params":{"step":"%d","desc":"","module":"default"}}`, n, n%2)...)
				if _, err := bad.Write(append([]byte{0x30, byte(len(body)&0x7f | 0x80), byte(len(body) >> 7)}, body...)); err != nil {
					stopped <- n
					return
				}
			}
		}()
		const seconds = 20
		for range seconds {
			time.Sleep(time.Second)
			start := time.Now()
			good.progress(ota.Step(10))
			if took := time.Since(start); took > 0 {
				t.Errorf("the good device waited %v", took)
			}
		}
		bad.Close()
		if n, most := <-stopped, 200+50*(seconds+1); n > most || n < 50*seconds {
			t.Errorf("%d messages were taken in %d s, allowed are %d", n, seconds, most)
		}
		c.wantCounts(j, simulator.Counts{InProgress: 2})
	})
}

// C SDK 3.2.0 at each connect: its own version, and within the second the application's.
// The last counts: the first one fails no task, and the second does when it stands.
func TestFieldC3TwoInformsInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, t.TempDir()).run()
		defer c.stop()
		p := c.fill("d1")
		connect := func(id uint16, last string) *raw {
			d := c.raw("d1", 0)
			d.say1(ota.TopicInform, id, `{"id":0,"params":{"version":"app-1.0.0-20180101.1001","module":"default"}}`)
			time.Sleep(600 * time.Millisecond)
			d.say1(ota.TopicInform, id+1, `{"id":1,"params":{"version":"`+last+`","module":"default"}}`)
			return d
		}
		d := connect(1, "1.0.0")
		j := c.batch(p, nil)
		d.hears(ota.TopicUpgrade)
		if got := c.task(j, "d1"); got.Source != "1.0.0" {
			t.Errorf("source %s", got.Source)
		}
		d.Close()
		for i := range 3 {
			d = connect(uint16(3+2*i), "1.0.0")
			d.hears(ota.TopicUpgrade)
			time.Sleep(10 * time.Second)
			if got := c.task(j, "d1"); got.Status != simulator.Notified {
				t.Errorf("connect %d: %s, %s", i, got.Status, got.Reason)
			}
			d.Close()
		}
		d = connect(11, "3.0.0")
		defer d.Close()
		c.wantCounts(j, simulator.Counts{Notified: 1})
		time.Sleep(2 * time.Second)
		if got := c.task(j, "d1"); got.Status != simulator.Failed || !strings.Contains(got.Reason, "3.0.0") {
			t.Errorf("%s, %s", got.Status, got.Reason)
		}
	})
}
