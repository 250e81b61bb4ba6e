// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"chive/internal/store"
)

// maxExamined bounds how many files and folders of a state folder are looked at.
const maxExamined = 5000

// Examined is what a look at a state folder finds.
type Examined struct {
	There  bool // there is such a folder
	InUse  bool // another process holds it
	Holder int  // that process's id; 0: unknown
	Keys   bool // it holds a relay's keys
	// Addresses are where others reach that relay, as was said when it was made; none: nothing was.
	Addresses []netip.AddrPort
	Ends      time.Time // when what the relay's offline identity has certified ends; zero: it is not offline, or has certified nothing
	Soon      string    // that it ends soon, without a full stop; empty: it does not
	// Uncertified is why a relay whose identity is offline cannot start: that has certified nothing yet; nil: it has, or is not offline.
	Uncertified *Fault
	// Why a relay's folder has no directory's store: it has never run (relay_unrun, or
	// founder_unrun), has lost it (memory_lost), or that it is damaged (memory_damaged);
	// empty: it has one, or is no relay's.
	Storeless, StorelessText, StorelessFix string

	// Relay and Client are the networks that the folder is bound to, each with the beginning
	// of its id; empty: none.
	Relay, Client string
	Newest        time.Time // when something in it was last written, as this machine tells time
	Disk          string    // that its disk has little room left, without a full stop; empty: it has, or nobody knows
	Faults        []*Fault  // what others can look into, this user cannot read, or is damaged
}

// ExamineState looks for what is wrong with a state folder, without changing it; another
// process may use it meanwhile. Of a folder that is there it takes the lock for an
// instant, to learn who holds it. At most 5,000 files and folders are looked at.
//
// Spec: product CLI-11; security KEY-4.
func ExamineState(dir string) Examined {
	var e Examined
	dir = filepath.Clean(dir)
	s := &State{dir: dir}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e
	case err == nil && !info.IsDir():
		err = fault(Usage, "state_not_folder", "Name a folder: --state DIR.", "The state folder %s is a file", dir)
	}
	if err != nil {
		e.add(dir, "state folder", err)
		return e
	}
	e.There, e.Disk = true, littleRoom(dir)
	e.examineLock(s)
	seen := 0
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if seen++; seen > maxExamined {
			return fs.SkipAll
		}
		if err == nil {
			err = e.examineEntry(path, entry)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else it went while we looked
			e.add(path, "file or folder", err)
		}
		return nil
	})
	e.Relay, e.Client = s.bound(relayNetworkFile), s.bound(networkFile)
	if e.Keys, err = s.hasKeys(); err == nil && e.Keys && len(e.Faults) == 0 {
		var keys []KeyInfo
		if keys, err = s.Keys(); err == nil {
			e.certificates(s, keys, time.Now())
		}
	}
	if err == nil && e.Keys {
		var kept declaration
		kept, err = s.readDeclared()
		e.Addresses = kept.Addresses
	}
	if err == nil && len(e.Faults) == 0 && !e.InUse { // one that runs says it itself
		var l storeless
		if l, err = s.storeless(); l.code == "" && err == nil && e.Keys {
			l = s.storeDamaged()
		}
		e.Storeless, e.StorelessText, e.StorelessFix = l.code, l.text, l.fix
	}
	if len(e.Faults) == 0 {
		e.add(dir, "folder", err)
	}
	return e
}

// bound is the network that a part of the folder is bound to, in words; empty: none, or
// what it says is damaged, which a start says.
func (s *State) bound(file string) string {
	line, _, there, err := s.readBinding(file)
	if err != nil || !there || !isNetworkLine(line) {
		return ""
	}
	return shortNetwork(line)
}

// certificates looks whether an offline identity has certified anything, and when that ends.
func (e *Examined) certificates(s *State, keys []KeyInfo, now time.Time) {
	offline := false
	for _, k := range keys {
		switch {
		case k.Use == "signing": // no link key ends later
			e.Ends = k.Ends
			e.Soon = endsSoon(k.Ends, now)
		case k.Use == string(useIdentity):
			offline = filepath.Base(k.File) == offlinePublicFile
		}
	}
	if offline && e.Ends.IsZero() {
		e.Uncertified = s.uncertified("certificates_missing", "Its offline identity has certified nothing yet, or relay/keys/certified.key is gone")
	}
}

// examineLock learns who holds the folder.
func (e *Examined) examineLock(s *State) {
	if there, err := exists(s.path(store.LockName), "lock file"); err != nil || !there {
		return
	}
	e.Holder = store.Working(s.dir)
	e.InUse = e.Holder != 0
}

func (e *Examined) examineEntry(path string, entry fs.DirEntry) error {
	if entry.IsDir() {
		return store.CheckFolder(path)
	}
	if !entry.Type().IsRegular() {
		return nil
	}
	info, err := entry.Info()
	if err != nil {
		return err
	}
	if info.ModTime().After(e.Newest) && entry.Name() != store.LockName {
		e.Newest = info.ModTime()
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// lowSpace is how little room on a disk is told of, in bytes.
const lowSpace = 200 << 20

// littleRoom says that a folder's disk has little room left, without a full stop; else nothing.
func littleRoom(dir string) string {
	if dir == "" {
		return ""
	}
	return roomText(store.FreeSpace(dir))
}

func roomText(free uint64, known bool) string {
	if !known || free >= lowSpace {
		return ""
	}
	return fmt.Sprintf("The disk of the state folder has %d MiB left", free>>20)
}

// add notes an error, which a fault of ours may be already.
func (e *Examined) add(path, what string, err error) {
	if err == nil {
		return
	}
	var f *Fault
	if !errors.As(err, &f) {
		f = fileFault(path, what, err)
	}
	e.Faults = append(e.Faults, f)
}
