// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"chive/internal/config"
	"chive/internal/store"
)

// ChangeConfig has change make another text of the user's configuration file, and keeps
// it; a file that is not there is empty, and is made with its folder. A kill at any
// instant leaves the old or the new one.
func ChangeConfig(path string, change func(data []byte) ([]byte, error)) error {
	data, err := store.ReadFile(path, config.MaxFileSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if data, err = change(data); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), store.FolderMode); err != nil {
		return err
	}
	return store.WriteFile(path, data)
}
