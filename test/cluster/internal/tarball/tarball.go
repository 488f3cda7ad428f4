// Package tarball writes and reads uncompressed tar files: what they hold here
// is read back on the same machine, where compressing costs more than it saves.
package tarball

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write packs the entries, files or directories below base, in their order into
// file. It writes beside file and renames, so that file is whole or absent.
func Write(file, base string, entries []string) error {
	part := file + ".part"
	out, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("creating the archive: %w", err)
	}
	err = errors.Join(pack(out, base, entries), out.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("writing the archive: %w", err), os.Remove(part))
	}
	return os.Rename(part, file)
}

func pack(out io.Writer, base string, entries []string) error {
	archive := tar.NewWriter(out)
	for _, entry := range entries {
		err := filepath.WalkDir(filepath.Join(base, entry), func(path string, item fs.DirEntry, err error) error {
			if err != nil || item.IsDir() {
				return err
			}
			return add(archive, base, path)
		})
		if err != nil {
			return err
		}
	}
	return archive.Close()
}

func add(archive *tar.Writer, base, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return err
	}
	if header.Name, err = filepath.Rel(base, path); err != nil {
		return err
	}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}

// ReadFirst returns the archive's first file, which must have the given name.
func ReadFirst(file, name string) ([]byte, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	archive := tar.NewReader(in)
	header, err := archive.Next()
	if err != nil {
		return nil, err
	}
	if header.Name != name {
		return nil, fmt.Errorf("it begins with %q instead of %q", header.Name, name)
	}
	return io.ReadAll(archive)
}

// Extract unpacks those files into dir that are, or lie below, one of entries.
func Extract(file, dir string, entries []string) error {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("opening the archive: %w", err)
	}
	defer in.Close()
	root, err := os.OpenRoot(dir) // refuses paths that lead out of dir
	if err != nil {
		return fmt.Errorf("opening the target of the archive: %w", err)
	}
	defer root.Close()
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the archive: %w", err)
		}
		if header.FileInfo().IsDir() || !wanted(header.Name, entries) { // a file brings its directories
			continue
		}
		if err := unpack(root, header.Name, archive); err != nil {
			return fmt.Errorf("unpacking %s: %w", header.Name, err)
		}
	}
}

func wanted(name string, entries []string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		return name == entry || strings.HasPrefix(name, entry+"/")
	})
}

func unpack(root *os.Root, name string, content io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}
