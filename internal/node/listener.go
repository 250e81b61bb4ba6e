// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"chive/internal/redact"
	"chive/internal/store"
)

// unixPrefix begins the name of a unix socket.
const unixPrefix = "unix:"

// maxSocketPath is the longest path of a unix socket that every system takes.
const maxSocketPath = 100

// DefaultSocks is where programs find the proxy.
const DefaultSocks = "127.0.0.1:9250"

// Listener is an open listener and the name that it is shown by.
type Listener struct {
	net.Listener
	Name string // host:port or unix:/path
}

// SocksOptions say which listeners to open.
type SocksOptions struct {
	Addrs       []string // host:port or unix:/path
	AllowRemote bool     // take addresses that other machines reach
	// MoveToFree takes another port of the same host when the port is taken:
	// only for a testnet whose ports nobody has named (CLI-8).
	MoveToFree bool
}

// ListenSocks opens the proxy's listeners: loopback or unix sockets only, unless
// remote ones are allowed. On a fault none stays open.
// Spec: product SOCKS-2.
func ListenSocks(o SocksOptions) (out []Listener, err error) {
	defer func() {
		if err != nil {
			closeAll(out)
			out = nil
		}
	}()
	if len(o.Addrs) == 0 {
		return nil, fault(Usage, "socks_missing", "Leave --socks out for "+DefaultSocks+".", "--socks names no address")
	}
	for _, addr := range o.Addrs {
		var l Listener
		if path, ok := strings.CutPrefix(addr, unixPrefix); ok {
			l, err = listenUnix(path)
		} else {
			l, err = listenTCP(addr, o)
		}
		if err != nil {
			return out, err
		}
		out = append(out, l)
	}
	return out, nil
}

func closeAll(ls []Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}

func listenTCP(text string, o SocksOptions) (Listener, error) {
	addr, err := parseListen("--socks", text)
	if err != nil {
		return Listener{}, err
	}
	if !addr.Addr().IsLoopback() && !o.AllowRemote {
		return Listener{}, fault(Usage, "socks_remote", "Use a loopback address such as "+DefaultSocks+", or unix:/PATH; an SSH tunnel brings other machines to it.",
			"--socks %s would let other machines use this proxy", text)
	}
	l, err := net.Listen("tcp", addr.String())
	if o.MoveToFree && redact.Classify(err) == redact.AddressInUse {
		l, err = net.Listen("tcp", netip.AddrPortFrom(addr.Addr(), 0).String())
	}
	if err != nil {
		return Listener{}, listenFault("--socks", text, err)
	}
	return Listener{l, l.Addr().String()}, nil
}

// parseListen reads host:port, where the host is an IP address or localhost.
func parseListen(flag, text string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(text, "localhost:"); ok {
		text = "127.0.0.1:" + port
	}
	addr, err := netip.ParseAddrPort(text)
	if err != nil {
		return netip.AddrPort{}, fault(Usage, "listen_address", "Write an IP address and a port, such as 127.0.0.1:9250.", "%s %s is not an address", flag, text)
	}
	return addr, nil
}

func listenUnix(path string) (Listener, error) {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return Listener{}, fault(Usage, "socks_path", "Write unix: and an absolute path of at most 100 characters.", "--socks unix:%s is not the path of a socket", path)
	}
	l, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, store.FileMode)
		if err != nil {
			_ = l.Close()
		}
	}
	if err != nil {
		return Listener{}, listenFault("--socks", unixPrefix+path, err)
	}
	return Listener{l, unixPrefix + path}, nil
}

// listenFault says why a listener could not be opened.
func listenFault(flag, addr string, err error) *Fault {
	path, isPath := strings.CutPrefix(addr, unixPrefix)
	switch redact.Classify(err) {
	case redact.AddressInUse:
		if isPath {
			return fault(Usage, "socket_in_use", "Stop the program that uses it; if none does, remove it: rm "+quote(path), "There is a socket at %s already", path)
		}
		return fault(Usage, "port_in_use", "Stop the program that has it, or name another port: "+flag+" "+otherPort(addr), "The port of %s is taken by another program", addr)
	case redact.AddressForeign:
		return fault(Usage, "listen_address", "Name an address of this machine: "+flag+" IP:PORT.", "%s is not an address of this machine", addr)
	case redact.NotPermitted:
		return fault(Usage, "listen_forbidden", "Use a port above 1023 and a folder that this user may write to.", "This user may not listen at %s", addr)
	case redact.FileNotFound:
		return fault(Usage, "listen_folder", "Make the folder first: mkdir -p "+quote(filepath.Dir(path)), "The folder of %s does not exist", path)
	}
	return fault(Failed, "listen_failed", "Name another address: "+flag+" IP:PORT.", "%s cannot be listened at (%s)", addr, redact.Classify(err))
}

// otherPort suggests a port near the one that is taken.
func otherPort(addr string) string {
	a, err := netip.ParseAddrPort(addr)
	if err != nil || a.Port() >= 65525 {
		return "IP:PORT"
	}
	return netip.AddrPortFrom(a.Addr(), a.Port()+10).String()
}

// dropSockets removes the unix sockets of addrs that an earlier run with the same
// state folder left behind when it was killed. The caller holds the folder's
// lock, so that run is over.
func (s *State) dropSockets(addrs []string) error {
	list := s.path(socketsFile)
	data, err := store.ReadFile(list, maxSmallSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fileFault(list, "file", err)
	}
	for path := range strings.Lines(string(data)) {
		path = strings.TrimSuffix(path, "\n")
		for _, a := range addrs {
			info, err := os.Lstat(path)
			if a == unixPrefix+path && err == nil && info.Mode().Type() == fs.ModeSocket {
				_ = os.Remove(path) // if it stays, listening says so
			}
		}
	}
	return nil
}

// keepSockets remembers the unix sockets of this run for dropSockets.
func (s *State) keepSockets(addrs []string) error {
	var list strings.Builder
	for _, a := range addrs {
		if path, ok := strings.CutPrefix(a, unixPrefix); ok {
			list.WriteString(path + "\n")
		}
	}
	path := s.path(socketsFile)
	err := store.Remove(path)
	if list.Len() > 0 {
		err = store.WriteFile(path, []byte(list.String()))
	}
	if err != nil {
		return fileFault(path, "file", err)
	}
	return nil
}

// listenPacket opens the socket of a UDP association towards a program.
func listenPacket(addr netip.Addr) (net.PacketConn, error) {
	return net.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
}
