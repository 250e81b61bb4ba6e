// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"crypto/rand"
	"errors"
	randv2 "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
	"chive/internal/node"
	"chive/internal/store"
)

// A relayFolder is the state folder of a relay that is a process of its own.
type relayFolder struct {
	state  string
	listen string // IP:PORT, published as it is
	rules  string // file of an exit's rules; empty: no exit
	rid    string // hexadecimal; set by what makes the folder
}

// processRate is what relays in processes offer: as much as those in one process.
const processRate = "100 Mbit/s"

func (f *relayFolder) declaring() node.Declaring {
	d := node.Declaring{Addresses: []string{f.listen}, Rate: processRate, Exit: f.rules}
	if f.rules != "" {
		d.About.Contact = "testnet"
	}
	return d
}

// foundFolders makes each relay's folder, and the network's document at path, signed by
// all: what founders do with keys founder, network new and network sign.
func foundFolders(name string, relays []*relayFolder, params genesis.Params, path string) error {
	drafts, err := os.MkdirTemp(filepath.Dir(path), "founding-")
	if err != nil {
		return errFolder
	}
	defer os.RemoveAll(drafts)
	var files []string
	identities := make(map[string]*relayFolder)
	for i, r := range relays {
		o := node.FounderOptions{Declaring: r.declaring(), Out: filepath.Join(drafts, strconv.Itoa(i))}
		var done *node.Founding
		err := inState(r.state, func(s *node.State) (err error) {
			done, err = s.Found(o, rand.Reader, time.Now())
			return err
		})
		if err != nil {
			return err
		}
		files, identities[done.Identity] = append(files, o.Out), r
	}
	if err := node.NewTestnet(name, files, params, time.Now(), path); err != nil {
		return err
	}
	for _, r := range relays {
		err := inState(r.state, func(s *node.State) error {
			_, err := s.SignNetwork(path, time.Now())
			return err
		})
		if err != nil {
			return err
		}
	}
	info, err := node.ShowNetwork(path)
	if err != nil {
		return err
	}
	for _, f := range info.Founders {
		if r := identities[f.Identity]; r != nil {
			r.rid = f.RID
		}
	}
	return nil
}

// join makes the folder of a relay that joins the network whose document is at path, as
// relay init does.
func (f *relayFolder) join(path string) error {
	return inState(f.state, func(s *node.State) error {
		done, err := s.Init(node.InitOptions{Declaring: f.declaring(), Genesis: path}, rand.Reader, time.Now())
		if err == nil {
			f.rid = done.RID
		}
		return err
	})
}

// inState calls do with the state folder, and gives it back.
func inState(folder string, do func(s *node.State) error) error {
	s, err := node.OpenState(folder)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(s)
}

var errFolder = errors.New("testnet: the folder cannot be written")

// Ports of processes are none of those that systems give to who asks for any, so that
// one is free again when its relay is started again in place.
const (
	firstPort = 20_000
	portCount = 12_000
)

// reservePort opens a free port of 127.0.0.1, and says which.
func reservePort() (net.Listener, string, error) {
	for range 200 {
		at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(firstPort+randv2.IntN(portCount))).String()
		if l, err := net.Listen("tcp4", at); err == nil {
			return l, at, nil
		}
	}
	return nil, "", errListen
}

// FreePort returns an address of 127.0.0.1 that nobody has now: for a process that is to
// be started.
func FreePort() (string, error) {
	ln, at, err := reservePort()
	if err != nil {
		return "", err
	}
	return at, ln.Close()
}

// Names of a testnet's folder, where nobody has named one, and of the file in it that
// says where the testnet is asked.
const (
	folderPrefix = "chive-testnet-"
	placeFile    = "testnet"
	folderYoung  = 10 * time.Second
)

// MakeFolder makes a folder for a testnet where temporary files are. The caller removes
// it. Those of testnets that were killed are removed first.
func MakeFolder() (string, error) {
	parent := os.TempDir()
	removeDead(parent)
	path, err := os.MkdirTemp(parent, folderPrefix)
	if err != nil {
		return "", errFolder
	}
	return path, nil
}

// removeDead removes the folders of MakeFolder whose testnet was killed: those that say
// where it is asked, are locked by nobody, and hold no node that answers.
func removeDead(parent string) {
	all, _ := filepath.Glob(filepath.Join(parent, folderPrefix+"*"))
	for _, folder := range all {
		info, err := os.Lstat(folder)
		if err != nil || !info.IsDir() || info.Mode().Perm() != store.FolderMode || time.Since(info.ModTime()) < folderYoung || ReadPlace(folder) == "" {
			continue
		}
		lock, err := store.TakeLock(folder)
		if err != nil {
			continue
		}
		lives := false
		sockets, _ := filepath.Glob(filepath.Join(folder, "*", socketFile))
		for _, s := range sockets {
			lives = lives || control.Answers(s)
		}
		_ = lock.Release()
		if !lives {
			_ = os.RemoveAll(folder)
		}
	}
}

// WritePlace says in a testnet's folder at which control socket the testnet is asked.
// remove takes that back.
func WritePlace(folder, socket string) (remove func(), err error) {
	path := filepath.Join(folder, placeFile)
	if os.WriteFile(path, []byte(socket+"\n"), store.FileMode) != nil {
		return nil, errFolder
	}
	return func() { _ = os.Remove(path) }, nil
}

// ReadPlace returns what WritePlace has said; empty: nothing.
func ReadPlace(folder string) string {
	data, err := store.ReadFile(filepath.Join(folder, placeFile), 4096)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
