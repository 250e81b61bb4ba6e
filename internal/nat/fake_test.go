// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// outside is what the fake routers say; nothing is ever sent there.
var outside = netip.MustParseAddr("203.0.113.5")

// pmpGateway is an address on loopback at which a fake router can have the port of
// NAT-PMP, whatever else this machine runs.
var pmpGateway = netip.MustParseAddr("127.53.51.1")

// router is what a test sees of a fake router.
type router struct {
	mu      sync.Mutex
	ports   map[uint16]uint16 // outside: inside
	adds    int
	names   []string
	answers func(question []byte, reply []byte) []byte // of NAT-PMP; nil: as it is
}

func (r *router) at(port uint16) uint16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ports[port]
}

func (r *router) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.adds
}

// startPMP starts a router that speaks NAT-PMP.
func startPMP(t *testing.T, address netip.Addr, lease uint32) *router {
	t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(pmpGateway, 5351)))
	if err != nil {
		t.Skipf("SKIPPED: port 5351 of %v is taken", pmpGateway)
	}
	t.Cleanup(func() { c.Close() })
	r := &router{ports: map[uint16]uint16{}}
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			if reply := r.pmp(b[:n], address, lease); reply != nil {
				_, _ = c.WriteToUDP(reply, from)
			}
		}
	}()
	return r
}

func (r *router) pmp(b []byte, address netip.Addr, lease uint32) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b) < 2 {
		return nil
	}
	reply := []byte{0, b[1] | 0x80, 0, 0, 0, 0, 0, 9}
	switch {
	case b[1] == 0:
		ip := address.As4()
		reply = append(reply, ip[:]...)
	case b[1] == 2 && len(b) == 12:
		inside, want, seconds := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:]), binary.BigEndian.Uint32(b[8:])
		for at, to := range r.ports {
			if to == inside && seconds == 0 {
				delete(r.ports, at)
			}
		}
		if seconds > 0 {
			r.adds++
			r.ports[want] = inside
			seconds = lease
		}
		reply = append(reply, b[4:8]...)
		reply = binary.BigEndian.AppendUint32(reply, seconds)
	}
	if r.answers != nil {
		return r.answers(b, reply)
	}
	return reply
}

// igdConfig is how a fake UPnP router behaves.
type igdConfig struct {
	address   string
	permanent bool              // it gives no leases
	taken     map[uint16]uint16 // by others
	location  string            // sent instead of its own
	control   string            // in place of its own URL
	huge      bool              // its description never ends
}

// startIGD starts a router that speaks UPnP, and returns where it is searched.
func startIGD(t *testing.T, cfg igdConfig) (*router, netip.AddrPort) {
	t.Helper()
	r := &router{ports: map[uint16]uint16{}}
	for at, to := range cfg.taken {
		r.ports[at] = to
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	control := "/control"
	if cfg.control != "" {
		control = cfg.control
	}
	mux.HandleFunc("/root.xml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><serviceId>x</serviceId><controlURL>%s</controlURL><eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL>
</service></serviceList></device></deviceList></device></deviceList>`, control)
		for cfg.huge {
			if _, err := io.WriteString(w, "<x></x>"); err != nil {
				return
			}
		}
		io.WriteString(w, `</device></root>`)
	})
	mux.HandleFunc("/control", func(w http.ResponseWriter, q *http.Request) { r.soap(w, q, cfg) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(ln) }()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	location := "http://" + ln.Addr().String() + "/root.xml"
	if cfg.location != "" {
		location = cfg.location
	}
	go func() {
		b := make([]byte, 2000)
		for {
			n, from, err := c.ReadFromUDP(b)
			if err != nil {
				return
			}
			if strings.HasPrefix(string(b[:n]), "M-SEARCH * HTTP/1.1\r\n") {
				_, _ = c.WriteToUDP([]byte("garbage"), from)
				_, _ = c.WriteToUDP([]byte("HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: "+gatewayType+"\r\nUSN: uuid:x\r\nLOCATION: "+location+"\r\n\r\n"), from)
			}
		}
	}()
	t.Cleanup(func() {
		server.Close()
		c.Close()
	})
	return r, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (r *router) soap(w http.ResponseWriter, q *http.Request, cfg igdConfig) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body)
	value := func(name string) string {
		m := regexp.MustCompile("<" + name + ">([^<]*)</").FindSubmatch(body)
		if m == nil {
			return ""
		}
		return string(m[1])
	}
	var port, inside uint16
	fmt.Sscan(value("NewExternalPort"), &port)
	fmt.Sscan(value("NewInternalPort"), &inside)
	action := strings.Trim(q.Header.Get("SOAPACTION"), `"`)
	_, action, _ = strings.Cut(action, "#")
	out, refuse := "", 0
	switch action {
	case "GetExternalIPAddress":
		out = "<NewExternalIPAddress>" + cfg.address + "</NewExternalIPAddress>"
	case "AddPortMapping":
		switch {
		case cfg.permanent && value("NewLeaseDuration") != "0":
			refuse = 725
		case r.ports[port] != 0 && r.ports[port] != inside:
			refuse = 718
		default:
			r.adds++
			r.ports[port] = inside
			r.names = append(r.names, value("NewPortMappingDescription"))
		}
	case "DeletePortMapping":
		delete(r.ports, port)
	default:
		refuse = 401
	}
	const envelope = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>%s</s:Body></s:Envelope>`
	if refuse != 0 {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, envelope, fmt.Sprintf(`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>no</errorDescription></UPnPError></detail></s:Fault>`, refuse))
		return
	}
	fmt.Fprintf(w, envelope, fmt.Sprintf(`<u:%sResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">%s</u:%sResponse>`, action, out, action))
}
