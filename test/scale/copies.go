package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/kubernetes/scheme"
)

// copies makes further teams and nodes of those of a fleet, as etcd holds them:
// each name, UID and Service address of theirs becomes another, the same one
// wherever it stands, so that owners, claims and bindings hold.
type copies struct {
	nodes int // of the fleet
	teams int
	// shared are the UIDs of what is there once; taken are all Service addresses.
	shared map[string]bool
	taken  map[netip.Addr]bool
	// own are the Service addresses of the teams.
	own []netip.Addr

	pattern *regexp.Regexp // of names
	ordinal int            // of the copy, from 1
	address map[string]string
}

const (
	addressKeys = "/registry/ipaddresses/"
	daemonKeys  = "/registry/pods/" + platform + "/"
)

// names are what becomes another: teams, nodes, UIDs and IPv4 addresses.
func names() *regexp.Regexp {
	return regexp.MustCompile(`team-\d{3,}|worker-[abc]\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b\d{1,3}(?:\.\d{1,3}){3}\b`)
}

// multiplied are the keys of a team's and a node's objects in the fleet as it
// was, but for what passes: events and leases.
func (c *copies) multiplied(key string) bool {
	if strings.HasPrefix(key, "/registry/events/") || strings.HasPrefix(key, "/registry/leases/") {
		return false
	}
	if text, found := strings.CutPrefix(key, addressKeys); found {
		_, own := c.address[text]
		return own
	}
	if strings.HasPrefix(key, daemonKeys) {
		return true
	}
	return strings.Contains(key, "/team-") || strings.Contains(key, "/worker-")
}

// learn takes in what the copies have to keep off.
func (c *copies) learn(key string, value []byte) error {
	text, err := asJSON(value)
	if err != nil {
		return err
	}
	if found, is := strings.CutPrefix(key, addressKeys); is {
		address, err := netip.ParseAddr(found)
		if err != nil {
			return err
		}
		c.taken[address] = true
		if bytes.Contains(text, []byte(`"namespace":"team-`)) {
			c.own = append(c.own, address)
		}
		return nil
	}
	if name, is := strings.CutPrefix(key, "/registry/namespaces/team-"); is {
		n, err := strconv.Atoi(name)
		if err != nil {
			return err
		}
		c.teams = max(c.teams, n+1)
	}
	if !c.multiplied(key) {
		uid, err := uidOf(text)
		if err != nil {
			return err
		}
		c.shared[uid] = true
	}
	return nil
}

// begin gives the Services of the copy addresses that none has.
func (c *copies) begin(ordinal int) {
	c.ordinal, c.address = ordinal, map[string]string{}
	for _, address := range c.own {
		free := address
		for c.taken[free] {
			free = free.Next()
		}
		c.taken[free] = true
		c.address[address.String()] = free.String()
	}
}

// copied is the key and the value of a copy.
func (c *copies) copied(key string, value []byte) (string, []byte, error) {
	text, err := asJSON(value)
	if err != nil {
		return "", nil, err
	}
	again := c.pattern.ReplaceAllStringFunc(key, c.renamed)
	text = c.pattern.ReplaceAllFunc(text, func(name []byte) []byte { return []byte(c.renamed(string(name))) })
	if name, is := strings.CutPrefix(key, daemonKeys); is { // named by chance: not by its node
		other := name + strconv.Itoa(c.ordinal)
		again = daemonKeys + other
		text = bytes.ReplaceAll(text, []byte(`"`+name+`"`), []byte(`"`+other+`"`))
	}
	value, err = asStored(value, text)
	return again, value, err
}

func (c *copies) renamed(name string) string {
	if number, is := strings.CutPrefix(name, "team-"); is {
		n, _ := strconv.Atoi(number) // digits, by the pattern
		return fmt.Sprintf("team-%03d", n+c.ordinal*c.teams)
	}
	if rest, is := strings.CutPrefix(name, "worker-"); is {
		n, _ := strconv.Atoi(rest[1:])
		return fmt.Sprintf("worker-%s%d", rest[:1], n+c.ordinal*(c.nodes+2)/3)
	}
	if strings.Contains(name, ".") {
		if other, is := c.address[name]; is {
			return other
		}
		return name
	}
	if c.shared[name] {
		return name
	}
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(name+"/"+strconv.Itoa(c.ordinal))).String()
}

// asJSON is a stored value as JSON: custom resources are kept as that.
func asJSON(value []byte) ([]byte, error) {
	if bytes.HasPrefix(value, []byte("{")) {
		return value, nil
	}
	object, err := decoded(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// asStored is JSON in the form that a value was kept in.
func asStored(value, text []byte) ([]byte, error) {
	if bytes.HasPrefix(value, []byte("{")) {
		return text, nil
	}
	object, err := decoded(value)
	if err != nil {
		return nil, err
	}
	kind := object.GetObjectKind().GroupVersionKind()
	other := reflect.New(reflect.TypeOf(object).Elem()).Interface().(runtime.Object)
	if err := json.Unmarshal(text, other); err != nil {
		return nil, err
	}
	other.GetObjectKind().SetGroupVersionKind(kind)
	var out bytes.Buffer
	err = protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Encode(other, &out)
	return out.Bytes(), err
}

func decoded(value []byte) (runtime.Object, error) {
	object, kind, err := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme).Decode(value, nil, nil)
	if err != nil {
		return nil, err
	}
	object.GetObjectKind().SetGroupVersionKind(*kind)
	return object, nil
}
