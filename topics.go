package ota

import "strings"

// TopicKind is what a topic is for; with a [Device] it makes a topic.
type TopicKind int

// The topics of a device (protocol sections 2 to 6). Up is from the device to
// the platform, down is from the platform to the device.
const (
	TopicInform        TopicKind = iota + 1 // up: a module's version
	TopicUpgrade                            // down: an upgrade notice
	TopicProgress                           // up: progress and failures
	TopicGet                                // up: asks for an upgrade
	TopicGetReply                           // down: its answer
	TopicRequest                            // up and down: the older way to ask
	TopicDownload                           // up: asks for a block of a file
	TopicDownloadReply                      // down: the block

	// Of gateways (protocol section 1). Each request is followed by its answer.
	TopicTopoAdd          // up: takes sub-devices in
	TopicTopoAddReply     // down
	TopicTopoDelete       // up: lets sub-devices go
	TopicTopoDeleteReply  // down
	TopicTopoGet          // up: asks which sub-devices there are
	TopicTopoGetReply     // down
	TopicLogin            // up: logs a sub-device in
	TopicLoginReply       // down
	TopicLogout           // up: logs a sub-device out
	TopicLogoutReply      // down
	TopicBatchLogin       // up
	TopicBatchLoginReply  // down
	TopicBatchLogout      // up
	TopicBatchLogoutReply // down
	TopicError            // down: a sub-device was thrown out
)

var topicShapes = [...]struct{ before, after string }{
	TopicInform:        {"/ota/device/inform/", ""},
	TopicUpgrade:       {"/ota/device/upgrade/", ""},
	TopicProgress:      {"/ota/device/progress/", ""},
	TopicGet:           {"/sys/", "/thing/ota/firmware/get"},
	TopicGetReply:      {"/sys/", "/thing/ota/firmware/get_reply"},
	TopicRequest:       {"/ota/device/request/", ""},
	TopicDownload:      {"/sys/", "/thing/file/download"},
	TopicDownloadReply: {"/sys/", "/thing/file/download_reply"},

	TopicTopoAdd:          {"/sys/", "/thing/topo/add"},
	TopicTopoAddReply:     {"/sys/", "/thing/topo/add_reply"},
	TopicTopoDelete:       {"/sys/", "/thing/topo/delete"},
	TopicTopoDeleteReply:  {"/sys/", "/thing/topo/delete_reply"},
	TopicTopoGet:          {"/sys/", "/thing/topo/get"},
	TopicTopoGetReply:     {"/sys/", "/thing/topo/get_reply"},
	TopicLogin:            {"/ext/session/", "/combine/login"},
	TopicLoginReply:       {"/ext/session/", "/combine/login_reply"},
	TopicLogout:           {"/ext/session/", "/combine/logout"},
	TopicLogoutReply:      {"/ext/session/", "/combine/logout_reply"},
	TopicBatchLogin:       {"/ext/session/", "/combine/batch_login"},
	TopicBatchLoginReply:  {"/ext/session/", "/combine/batch_login_reply"},
	TopicBatchLogout:      {"/ext/session/", "/combine/batch_logout"},
	TopicBatchLogoutReply: {"/ext/session/", "/combine/batch_logout_reply"},
	TopicError:            {"/ext/error/", ""},
}

// Of gives the topic of this kind for one device. It does not check the
// device's names; [Device.Validate] does.
func (k TopicKind) Of(d Device) string {
	s := topicShapes[k]
	return s.before + d.ProductKey + "/" + d.Name + s.after
}

// Up reports whether devices publish on topics of this kind.
func (k TopicKind) Up() bool {
	return k == TopicInform || k == TopicProgress || k == TopicGet || k == TopicRequest || k == TopicDownload || k.Gateway()
}

// Down reports whether the platform publishes on topics of this kind.
func (k TopicKind) Down() bool {
	return k == TopicUpgrade || k == TopicGetReply || k == TopicRequest || k == TopicDownloadReply ||
		k > TopicDownloadReply && !k.Gateway()
}

// DownTopics are the kinds that the platform publishes on, all of which a
// device receives whether it subscribed or not. Those of gateways are not among
// them.
func DownTopics() []TopicKind {
	return []TopicKind{TopicUpgrade, TopicGetReply, TopicRequest, TopicDownloadReply}
}

// ParseTopic tells the kind and the device of a topic; ok is false when it is
// none of a device's topics, is too long or names no valid device.
func ParseTopic(topic string) (k TopicKind, d Device, ok bool) {
	if len(topic) > MaxTopicLen {
		return 0, Device{}, false
	}
	for k := TopicInform; int(k) < len(topicShapes); k++ {
		s := topicShapes[k]
		rest, ok := strings.CutPrefix(topic, s.before)
		if !ok {
			continue
		}
		if rest, ok = strings.CutSuffix(rest, s.after); !ok {
			continue
		}
		pk, dn, ok := strings.Cut(rest, "/")
		if d := (Device{pk, dn}); ok && d.Validate() == nil {
			return k, d, true
		}
	}
	return 0, Device{}, false
}
