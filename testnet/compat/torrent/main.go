// SPDX-License-Identifier: BSD-3-Clause

// Command torrent is a BitTorrent program for the compatibility tests, made of
// github.com/anacrolix/torrent as its users make theirs. It has a module of its own, so
// that the network's stays small.
//
//	torrent seed  FILE METAINFO TRACKER    makes METAINFO, prints its port, gives FILE away
//	torrent fetch METAINFO DIR PROXY       downloads into DIR through PROXY, and ends
//
// fetch reaches tracker and peers through the SOCKS port at PROXY alone, and looks no
// name up by itself. It is no part of chive.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/anacrolix/torrent"
	"github.com/anacrolix/torrent/bencode"
	"github.com/anacrolix/torrent/metainfo"
	"github.com/anacrolix/torrent/storage"
	"golang.org/x/net/proxy"
)

var errUsage = errors.New("usage: torrent seed FILE METAINFO TRACKER | torrent fetch METAINFO DIR PROXY")

// errAround keeps the module from going around the proxy.
var errAround = errors.New("not without the proxy")

func main() {
	err := errUsage
	if len(os.Args) == 5 {
		switch os.Args[1] {
		case "seed":
			err = seed(os.Args[2], os.Args[3], os.Args[4])
		case "fetch":
			err = fetch(os.Args[2], os.Args[3], os.Args[4])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// settings are what both have in common: TCP, and nothing that finds peers by itself.
func settings(dir string) *torrent.ClientConfig {
	c := torrent.NewDefaultClientConfig()
	c.DefaultStorage = storage.NewFileOpts(storage.NewFileClientOpts{ClientBaseDir: dir, PieceCompletion: storage.NewMapPieceCompletion()})
	c.NoDHT, c.DisableUTP, c.DisablePEX, c.DisableWebseeds, c.DisableWebtorrent = true, true, true, true, true
	c.NoDefaultPortForwarding, c.DisableIPv6 = true, true
	c.ListenPort = 0
	c.MaxAllocPeerRequestDataPerConn = 64 << 20 // a seeder of v1.59.1 stops at its usual limit, on loopback too
	c.SetListenAddr("127.0.0.1:0")
	return c
}

func seed(file, path, tracker string) error {
	info := metainfo.Info{PieceLength: 256 << 10}
	if err := info.BuildFromFilePath(file); err != nil {
		return err
	}
	coded, err := bencode.Marshal(info)
	if err != nil {
		return err
	}
	meta := metainfo.MetaInfo{InfoBytes: coded, Announce: tracker}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(meta.Write(out), out.Close()); err != nil {
		return err
	}
	c := settings(filepath.Dir(file))
	c.Seed, c.DisableTrackers = true, true
	client, err := torrent.NewClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	t, err := client.AddTorrent(&meta)
	if err != nil {
		return err
	}
	if err := t.VerifyDataContext(context.Background()); err != nil {
		return err
	}
	fmt.Println(client.LocalPort())
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is gone
	return nil
}

func fetch(path, dir, port string) error {
	meta, err := metainfo.LoadFromFile(path)
	if err != nil {
		return err
	}
	dialer, err := proxy.SOCKS5("tcp", port, nil, proxy.Direct)
	if err != nil {
		return err
	}
	through := dialer.(proxy.ContextDialer)
	c := settings(dir)
	c.DialForPeerConns, c.AcceptPeerConnections = false, false
	c.HTTPProxy = http.ProxyURL(&url.URL{Scheme: "socks5h", Host: port})
	c.TrackerListenPacket = func(string, string) (net.PacketConn, error) { return nil, errAround }
	c.TrackerDialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != port {
			return nil, errAround
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	// Unless told otherwise the module asks the system's name server for trackers.
	c.LookupTrackerIp = func(u *url.URL) ([]net.IP, error) { return resolve(port, u.Hostname()) }
	client, err := torrent.NewClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	client.AddDialer(torrent.NetworkDialer{Network: "tcp", Dialer: through})
	t, err := client.AddTorrent(meta)
	if err != nil {
		return err
	}
	t.DownloadAll()
	select {
	case <-t.Complete().On():
		return nil
	case <-time.After(50 * time.Second):
		return fmt.Errorf("%d of %d bytes after 50 s", t.BytesCompleted(), t.Length())
	}
}

// resolve looks a name up by the SOCKS port's RESOLVE.
func resolve(port, name string) ([]net.IP, error) {
	c, err := net.Dial("tcp", port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	request := append([]byte{5, 1, 0, 5, 0xf0, 0, 3, byte(len(name))}, name...)
	if _, err := c.Write(append(request, 0, 0)); err != nil {
		return nil, err
	}
	answer := make([]byte, 2+4+4+2)
	if _, err := io.ReadFull(c, answer); err != nil {
		return nil, err
	}
	if answer[3] != 0 || answer[5] != 1 {
		return nil, fmt.Errorf("the proxy resolves nothing: %d", answer[3])
	}
	return []net.IP{net.IP(answer[6:10])}, nil
}
