// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Limits of a Table.
const (
	// maxMoved is how many damaged files are kept beside a table.
	maxMoved = 100
	// lockPatience is how long OpenTable waits for another process.
	lockPatience = 200 * time.Millisecond
	// maxTableSize keeps a mistake from filling the disk, in bytes. Then Put fails.
	maxTableSize = 4 << 30
	sumSize      = 4
)

// Errors of a Table. The operating system's error is wrapped for errors.Is and
// classification; its text is not shown.
var (
	ErrTable     = errors.New("store: the table could not be read or written")
	ErrTableHeld = errors.New("store: another process holds the table")
	// ErrTableGone stands beside ErrTable: see Gone.
	ErrTableGone = errors.New("store: the table's file is gone")
	// ErrTableSpoiled stands beside ErrTable: see Spoiled.
	ErrTableSpoiled = errors.New("store: the table's file was changed by another")
)

// errDamaged means bytes that are not what a Table writes.
var errDamaged = errors.New("store: damaged")

// Write puts one value of a bucket in place of the one before; nil deletes it. Keys
// are not empty.
type Write struct {
	Bucket     string
	Key, Value []byte
}

// Table is a file of buckets, each a sorted map from keys to values. A kill at any
// instant, or a power cut after Put returned, leaves each transaction whole or
// without effect. Every value stands behind a checksum over its bucket, key and
// bytes, so that a file that was spoiled is found to be when it is opened.
//
// A Table may be used by several goroutines.
type Table struct {
	db      *bolt.DB
	path    string
	held    *os.File    // that is open
	file    fs.FileInfo // of it
	movedTo string
	damaged atomic.Bool
	old     bool // it was when it was opened
	counter counter
	// What the file says of its latest transaction is one of these, else it is not what
	// was written here: the number before the last try, and that of the try, of which an
	// error does not tell whether it was kept. Within a transaction of update.
	last, tried uint64
	spoiled     atomic.Bool
	// update runs a transaction; tests make it fail.
	update func(func(*bolt.Tx) error) error
}

// ownBucket holds what the table notes about itself. No caller's bucket is named so.
var (
	ownBucket  = []byte("\x00table")
	damagedKey = []byte("damaged")
)

// OpenTable opens the table at a path, which it makes, with its folder, if it is not
// there: folder 0700, file 0600. The whole file is read and checked, about a second
// for 100 MB. One that is damaged is moved aside to PATH.damaged-N and a fresh one put
// in its place: see Damaged and MovedTo. One that is older than its counter (CountSuffix)
// says is opened as it is: see Old.
// Errors: ErrFolder, ErrTableHeld, ErrTable.
func OpenTable(path string) (*Table, error) {
	if err := MakeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	if err := begin(path); err != nil {
		return nil, &hiddenError{ErrTable, err}
	}
	db, held, file, err := openBolt(path, false)
	movedTo := ""
	if errors.Is(err, errDamaged) {
		if movedTo, err = replaceDamaged(path); err == nil {
			db, held, file, err = openBolt(path, false)
		}
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, &hiddenError{ErrTableHeld, err}
	}
	if err != nil {
		return nil, &hiddenError{ErrTable, err}
	}
	t := &Table{db: db, path: path, held: held, file: file, movedTo: movedTo, update: db.Update, counter: openCounter(path)}
	_ = db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket(ownBucket)
		damaged := b != nil && b.Get(damagedKey) != nil
		count, filled := countOf(tx)
		t.last, t.tried = count, count
		t.old = !damaged && filled && count < t.counter.from
		t.damaged.Store(damaged || t.old)
		return nil
	})
	return t, nil
}

// CheckTable reads the whole table at a path and reports whether it is damaged, so that
// OpenTable would move it aside. It changes nothing. Errors: ErrTableHeld, ErrTable.
func CheckTable(path string) (damaged bool, err error) {
	db, _, _, err := openBolt(path, true)
	if db != nil {
		_ = db.Close()
	}
	switch {
	case errors.Is(err, errDamaged):
		return true, nil
	case errors.Is(err, berrors.ErrTimeout):
		return false, &hiddenError{ErrTableHeld, err}
	case err != nil:
		return false, &hiddenError{ErrTable, err}
	}
	return false, nil
}

// openBolt opens and checks a file, and returns which one it is. Errors: errDamaged,
// berrors.ErrTimeout, and the operating system's.
func openBolt(path string, readOnly bool) (db *bolt.DB, file *os.File, info fs.FileInfo, err error) {
	if info, err := os.Stat(path); err == nil && exposed(info.Mode()) && !readOnly {
		if err := os.Chmod(path, FileMode); err != nil {
			return nil, nil, nil, err
		}
	}
	if short(path) {
		return nil, nil, nil, errDamaged
	}
	// A file that was cut short is mapped beyond its end, and pages that were spoiled
	// make the library panic: both count as damage.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errDamaged
		}
		if err != nil && db != nil {
			_ = db.Close()
			db = nil
		}
		if err != nil && file != nil {
			_ = file.Close() // frees the lock of one that broke while it was opened
		}
	}()
	// First the pages are walked, with the file's lock, which others may share that only
	// read: see pages. What holds then is what the library goes by.
	db, err = library(path, !readOnly, &bolt.Options{Timeout: lockPatience, ReadOnly: true}, &file)
	if err == nil {
		info, err = file.Stat()
	}
	if err == nil {
		err = walk(file, info.Size())
	}
	if err != nil {
		return db, file, nil, err
	}
	if err := db.Close(); err != nil {
		return nil, nil, nil, err
	}
	db, err = library(path, !readOnly, &bolt.Options{
		Timeout: lockPatience, FreelistType: bolt.FreelistMapType, MaxSize: maxTableSize, ReadOnly: readOnly, PreLoadFreelist: true,
	}, &file)
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		return db, file, nil, err
	}
	return db, file, info, db.View(func(tx *bolt.Tx) error {
		if info.Size() < tx.Size() {
			return errDamaged
		}
		// First everything is read here, where what leads out of the file is caught: the
		// library's own check has a goroutine, in which that would end the process.
		if err := tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			if b == nil {
				return errDamaged
			}
			return b.ForEach(func(k, v []byte) error {
				_, err := opened(name, k, v)
				return err
			})
		}); err != nil {
			return err
		}
		for range tx.Check() { // the walk goes on to its end
			err = errDamaged
		}
		return err
	})
}

// library opens a file with the library; *file is that file also where it panics.
// Errors: errDamaged, the library's, and the operating system's.
func library(path string, toWrite bool, o *bolt.Options, file **os.File) (*bolt.DB, error) {
	o.OpenFile = func(name string, flag int, mode fs.FileMode) (f *os.File, err error) {
		if toWrite {
			flag |= os.O_RDWR // also where it is only read yet, so that what may not be written fails here
		}
		f, err = os.OpenFile(name, flag, mode)
		*file = f
		return f, err
	}
	db, err := bolt.Open(path, FileMode, o)
	for _, damage := range []error{berrors.ErrInvalid, berrors.ErrVersionMismatch, berrors.ErrChecksum, berrors.ErrInvalidMapping} {
		if errors.Is(err, damage) {
			return db, errDamaged
		}
	}
	return db, err
}

// short reports a file that is too small to be a table: ours are never seen before
// they are whole.
func short(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() < int64(2*os.Getpagesize())
}

// makeTable makes an empty table of its own at a path, of which nothing may be there.
// lost: it knows that it stands in for a damaged one.
func makeTable(path string, lost bool) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	db, err := bolt.Open(path, FileMode, &bolt.Options{Timeout: lockPatience})
	if err != nil {
		return err
	}
	if lost {
		err = db.Update(func(tx *bolt.Tx) error { return put(tx, ownBucket, damagedKey, []byte{1}) })
	}
	if closeErr := db.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Beside a table lie, for a moment, one that is being made, and one that is to stand in
// for a damaged one: whole, with the place of the damaged one empty or not yet.
const (
	makingSuffix  = ".making"
	instandSuffix = newSuffix
)

// begin makes a table if there is none, and ends what a kill has interrupted.
func begin(path string) error {
	if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := moveInto(path, instandSuffix)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeTable(path+makingSuffix, false); err != nil {
		return err
	}
	return moveInto(path, makingSuffix)
}

func moveInto(path, suffix string) error {
	if err := os.Rename(path+suffix, path); err != nil {
		return err
	}
	return system{}.syncFolder(filepath.Dir(path))
}

// replaceDamaged moves a damaged table aside and puts an empty one that knows of it in
// its place. A kill in between is ended by begin.
func replaceDamaged(path string) (movedTo string, err error) {
	if err := makeTable(path+makingSuffix, true); err != nil {
		return "", err
	}
	if err := os.Rename(path+makingSuffix, path+instandSuffix); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		movedTo = path + ".damaged-" + strconv.Itoa(n)
		if _, err := os.Lstat(movedTo); errors.Is(err, fs.ErrNotExist) || n == maxMoved {
			break // the last one is overwritten
		}
	}
	if err := os.Rename(path, movedTo); err != nil {
		return "", err
	}
	return movedTo, moveInto(path, instandSuffix)
}

// Damaged reports that what the table held was lost: it was found damaged and moved
// aside, or is an old copy, now or before a restart, and no Put has succeeded since. So
// the first Put is where to note what must not be forgotten about it.
func (t *Table) Damaged() bool { return t.damaged.Load() }

// Old reports that OpenTable has found an old copy of the table: what was put since the
// copy was made is lost, what it holds is there.
func (t *Table) Old() bool { return t.old }

// Gone reports that the file is not at its path any more: it was removed, or another was
// put in its place. What is put then would be lost with the process, so that Put fails
// until the file is back. It costs one look at the file system.
func (t *Table) Gone() bool {
	now, err := os.Stat(t.path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	}
	return !os.SameFile(now, t.file)
}

// Spoiled reports that somebody wrote over the file, or cut it, while it was open: what a
// transaction met there was no table, or one of another time. Nothing is read or put then
// until the table is opened anew, which finds what it is: see Damaged and Old.
func (t *Table) Spoiled() bool { return t.spoiled.Load() }

// guarded runs a transaction on a file that others may have spoiled. Where the library
// panics on it, or meets pages that are not there any more, the table is left alone from
// then on, its locks included, which may be held. A panic of the caller's own code, during
// which *inside is set, is the caller's.
func (t *Table) guarded(inside *bool, transaction func() error) (err error) {
	if t.spoiled.Load() {
		return ErrTableSpoiled
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if *inside {
			return // on its way through, or there is none
		}
		if recover() != nil {
			t.spoiled.Store(true)
			err = ErrTableSpoiled
		}
	}()
	return transaction()
}

// MovedTo returns where OpenTable has moved a damaged file, to be shown to the
// operator; empty: nowhere.
func (t *Table) MovedTo() string { return t.movedTo }

// Each calls f for each value of a bucket, in the order of keys, until f fails. A
// bucket that was never written is empty. Key and value are only valid within f, which
// must not call Put. Errors: f's, ErrTable.
func (t *Table) Each(bucket string, f func(key, value []byte) error) error {
	var failed error
	inside := false
	err := t.guarded(&inside, func() error {
		return t.db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(bucket))
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, v []byte) error {
				value, err := opened([]byte(bucket), k, v)
				if err != nil {
					return err
				}
				inside = true
				failed = f(k, value)
				inside = false
				return failed
			})
		})
	})
	if err == nil || failed != nil {
		return failed
	}
	return &hiddenError{ErrTable, err}
}

// Put makes all writes durable, or none. It must not be called within Each.
// Errors: ErrTable, with it ErrTableGone or ErrTableSpoiled.
func (t *Table) Put(writes []Write) error {
	if t.Gone() {
		return &hiddenError{ErrTable, errors.Join(ErrTableGone, fs.ErrNotExist)}
	}
	var next uint64
	update := func(tx *bolt.Tx) error {
		count, _ := countOf(tx)
		if count != t.last && count != t.tried {
			return ErrTableSpoiled
		}
		next = max(count, t.counter.from) + 1
		t.last, t.tried = count, next
		if t.damaged.Load() && tx.Bucket(ownBucket) != nil {
			if err := tx.DeleteBucket(ownBucket); err != nil {
				return err
			}
		}
		if err := put(tx, ownBucket, countKey, binary.BigEndian.AppendUint64(nil, next)); err != nil {
			return err
		}
		for i := range writes {
			w := &writes[i]
			if err := put(tx, []byte(w.Bucket), w.Key, w.Value); err != nil {
				return err
			}
		}
		return nil
	}
	err := t.guarded(new(bool), func() error { return t.update(update) })
	if errors.Is(err, ErrTableSpoiled) {
		t.spoiled.Store(true)
		return &hiddenError{ErrTable, err}
	}
	if err != nil {
		return &hiddenError{ErrTable, err}
	}
	t.damaged.Store(false)
	t.counter.set(next)
	return nil
}

func put(tx *bolt.Tx, bucket, key, value []byte) error {
	b, err := tx.CreateBucketIfNotExists(bucket)
	if err != nil {
		return err
	}
	if value == nil {
		return b.Delete(key)
	}
	return b.Put(key, sealed(bucket, key, value))
}

// Close closes the file. Error: ErrTable.
func (t *Table) Close() error {
	t.counter.close()
	if t.spoiled.Load() { // the library may hold its locks for ever, and the mapping stays
		unlock(t.held)
		_ = t.held.Close()
		return nil
	}
	if err := t.db.Close(); err != nil {
		return &hiddenError{ErrTable, err}
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(bucket, key, value []byte) uint32 {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(bucket)))
	head = binary.BigEndian.AppendUint32(append(head, bucket...), uint32(len(key)))
	return crc32.Update(crc32.Checksum(append(head, key...), castagnoli), castagnoli, value)
}

// sealed is what the file holds of a value.
func sealed(bucket, key, value []byte) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 0, sumSize+len(value)), sum(bucket, key, value))
	return append(out, value...)
}

// opened returns the value that was sealed. Error: errDamaged.
func opened(bucket, key, held []byte) ([]byte, error) {
	if len(held) < sumSize || binary.BigEndian.Uint32(held) != sum(bucket, key, held[sumSize:]) {
		return nil, errDamaged
	}
	return held[sumSize:], nil
}
