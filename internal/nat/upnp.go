// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/huin/goupnp"
	"github.com/huin/goupnp/soap"
)

// searchGroup is where UPnP devices listen.
var searchGroup = netip.MustParseAddrPort("239.255.255.250:1900")

// gatewayType is what is searched for; its second version answers for the first.
const gatewayType = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"

// connectionTypes are the services that forward ports, the best first.
var connectionTypes = []string{
	"urn:schemas-upnp-org:service:WANIPConnection:2",
	"urn:schemas-upnp-org:service:WANIPConnection:1",
	"urn:schemas-upnp-org:service:WANPPPConnection:1",
}

// Codes of a router's refusal.
const (
	conflict       = 718 // somebody else has the port
	onlyPermanent  = 725 // no leases
	maxAnswerSize  = 256 << 10
	maxSearchReply = 2 << 10
	conflictTries  = 4
)

// igd asks by UPnP. It speaks to the router alone: an answer that names another host
// is not followed.
type igd struct {
	gateway, local netip.Addr
	search         netip.AddrPort
	// Found once, and again after a failure.
	service *goupnp.Service
	toward  netip.Addr // this machine, as the router sees it
}

func newUPnP(gateway, local netip.Addr, search netip.AddrPort) *igd {
	if !search.IsValid() {
		search = searchGroup
	}
	return &igd{gateway: gateway, local: local, search: search}
}

type addRequest struct {
	NewRemoteHost             string
	NewExternalPort           string
	NewProtocol               string
	NewInternalPort           string
	NewInternalClient         string
	NewEnabled                string
	NewPortMappingDescription string
	NewLeaseDuration          string
}

type deleteRequest struct{ NewRemoteHost, NewExternalPort, NewProtocol string }

type addressReply struct{ NewExternalIPAddress string }

func (u *igd) add(ctx context.Context, port, external uint16, lease time.Duration) (m Mapping, err error) {
	defer func() {
		if err != nil {
			u.service = nil
		}
	}()
	if u.service == nil {
		if err := u.find(ctx); err != nil {
			return Mapping{}, err
		}
	}
	var outside addressReply
	if err := u.ask(ctx, "GetExternalIPAddress", &struct{}{}, &outside); err != nil {
		return Mapping{}, err
	}
	addr, err := netip.ParseAddr(outside.NewExternalIPAddress)
	if err != nil {
		return Mapping{}, failure{BadAnswer}
	}
	for range conflictTries {
		err := u.ask(ctx, "AddPortMapping", &addRequest{
			NewExternalPort: strconv.Itoa(int(external)), NewProtocol: "TCP",
			NewInternalPort: strconv.Itoa(int(port)), NewInternalClient: u.toward.String(), NewEnabled: "1",
			NewPortMappingDescription: leaseName, NewLeaseDuration: strconv.Itoa(int(lease / time.Second)),
		}, &struct{}{})
		switch {
		case err == nil:
			return Mapping{Method: UPnP, External: netip.AddrPortFrom(addr, external), Lease: lease}, nil
		case code(err) == onlyPermanent && lease > 0:
			lease = 0 // released on exit
		case code(err) == conflict:
			external = max(external+1, 1024) // of two relays behind one router
		default:
			return Mapping{}, err
		}
	}
	return Mapping{}, failure{Refused}
}

func (u *igd) remove(ctx context.Context, _, external uint16) error {
	if u.service == nil {
		return nil
	}
	return u.ask(ctx, "DeletePortMapping", &deleteRequest{NewExternalPort: strconv.Itoa(int(external)), NewProtocol: "TCP"}, &struct{}{})
}

// code returns a router's code for its refusal; 0: it is none.
func code(err error) int {
	var f *soap.SOAPFaultError
	if errors.As(err, &f) {
		return f.Detail.UPnPError.Errorcode
	}
	return 0
}

// ask performs an action. Errors: *soap.SOAPFaultError below failure, or failure.
func (u *igd) ask(ctx context.Context, action string, in, out any) error {
	client := soap.NewSOAPClient(u.service.ControlURL.URL)
	client.HTTPClient = *u.client()
	err := client.PerformActionCtx(ctx, u.service.ServiceType, action, in, out)
	var fault *soap.SOAPFaultError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &fault):
		return errors.Join(failure{Refused}, fault)
	case ctx.Err() != nil:
		return failure{NoAnswer}
	}
	return failure{BadAnswer}
}

// find searches the router and the service that forwards ports.
func (u *igd) find(ctx context.Context) error {
	at, err := u.discover(ctx)
	if err != nil {
		return err
	}
	root, err := u.describe(ctx, at)
	if err != nil {
		return err
	}
	for _, kind := range connectionTypes {
		for _, s := range root.Device.FindService(kind) {
			host, err := netip.ParseAddrPort(hostPort(&s.ControlURL.URL))
			if err != nil || host.Addr().Unmap() != u.gateway {
				continue
			}
			u.service = s
			return nil
		}
	}
	return failure{BadAnswer}
}

// discover asks who is the router. Only the router's own answer counts; where its
// address is not known, the first one of a private address that speaks for itself.
func (u *igd) discover(ctx context.Context) (*url.URL, error) {
	var bind *net.UDPAddr
	if u.local.IsValid() {
		bind = net.UDPAddrFromAddrPort(netip.AddrPortFrom(u.local, 0))
	}
	c, err := net.ListenUDP("udp4", bind)
	if err != nil {
		return nil, failure{NoAnswer}
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	question := []byte("M-SEARCH * HTTP/1.1\r\nHOST: " + u.search.String() + "\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: " + gatewayType + "\r\n\r\n")
	for range 2 { // a datagram may be lost
		if _, err := c.WriteToUDPAddrPort(question, u.search); err != nil {
			return nil, failure{NoAnswer}
		}
	}
	buf := make([]byte, maxSearchReply)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return nil, failure{NoAnswer}
		}
		reply, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(buf[:n])), nil)
		if err != nil || reply.StatusCode != http.StatusOK {
			continue
		}
		_ = reply.Body.Close()
		at, err := url.Parse(reply.Header.Get("LOCATION"))
		if err != nil || at.Scheme != "http" {
			continue
		}
		host, err := netip.ParseAddrPort(hostPort(at))
		who := from.Addr().Unmap()
		if err != nil || host.Addr().Unmap() != who {
			continue
		}
		if u.gateway.IsValid() && who != u.gateway || !u.gateway.IsValid() && !who.IsPrivate() {
			continue
		}
		u.gateway = who
		return at, nil
	}
}

// describe fetches what the router says of itself.
func (u *igd) describe(ctx context.Context, at *url.URL) (*goupnp.RootDevice, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, failure{BadAnswer}
	}
	reply, err := u.client().Do(req)
	if err != nil {
		return nil, failure{NoAnswer}
	}
	defer reply.Body.Close()
	root := new(goupnp.RootDevice)
	d := xml.NewDecoder(reply.Body)
	d.DefaultSpace = goupnp.DeviceXMLNamespace
	if reply.StatusCode != http.StatusOK || d.Decode(root) != nil {
		return nil, failure{BadAnswer}
	}
	base := at
	if root.URLBaseStr != "" {
		if base, err = url.Parse(root.URLBaseStr); err != nil {
			return nil, failure{BadAnswer}
		}
	}
	root.SetURLBase(base)
	return root, nil
}

// hostPort is the address of a URL with its port.
func hostPort(at *url.URL) string {
	port := at.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(at.Hostname(), port)
}

// client dials the router and nobody else, follows nothing, and reads little.
func (u *igd) client() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     bounded{u.dial()},
	}
}

func (u *igd) dial() *http.Transport {
	return &http.Transport{
		DisableKeepAlives: true, MaxResponseHeaderBytes: maxAnswerSize,
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, err := netip.ParseAddrPort(address)
			if err != nil || host.Addr().Unmap() != u.gateway {
				return nil, failure{BadAnswer}
			}
			var d net.Dialer
			c, err := d.DialContext(ctx, "tcp", address)
			if err == nil {
				u.toward = c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
			}
			return c, err
		},
	}
}

// bounded cuts long answers off.
type bounded struct{ under http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := b.under.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	reply.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(reply.Body, maxAnswerSize), reply.Body}
	return reply, nil
}
