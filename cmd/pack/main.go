// Command pack writes what FunctionGraph takes as the code of a function of runtime Custom.
//
//	pack <folder of a built function>...
//
// puts the folder's bootstrap, and nothing else, into <folder>.zip. The same bootstrap makes the
// same zip, byte for byte, on every day and whoever built it.
package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(folders []string) error {
	if len(folders) == 0 {
		return errors.New("usage: pack <folder of a built function>")
	}
	for _, folder := range folders {
		packed, err := pack(filepath.Join(folder, "bootstrap"))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Clean(folder)+".zip", packed, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pack is a zip with the file at its root. Mode and time are always the same, since those of the
// file are the builder's.
func pack(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	header := &zip.FileHeader{
		Name: filepath.Base(file), Method: zip.Deflate,
		Modified: time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC), // zip knows no earlier time
	}
	header.SetMode(0o755)
	var packed bytes.Buffer
	w := zip.NewWriter(&packed)
	entry, err := w.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := entry.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
