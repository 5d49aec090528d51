// Package privacy exports and erases single persons: what is kept about
// somebody, and how all of it goes. The files of imports are part of both, so
// this is more than the database alone can answer.
package privacy

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"rollcall/auth"
	"rollcall/storage"
)

// BusyError is returned by [Office.Erase] when an import that has not ended
// names the person: it would bring them back.
type BusyError struct{ ImportID uuid.UUID }

func (e *BusyError) Error() string {
	return fmt.Sprintf("import %s, which has not ended, names this person", e.ImportID)
}

// Office knows what is kept about persons. It is safe for concurrent use.
type Office struct {
	store  *storage.Store
	signer *auth.Signer
}

// New makes an Office. The signer names those who are erased.
func New(store *storage.Store, signer *auth.Signer) *Office { return &Office{store, signer} }

// Report is what is kept about a person.
type Report struct {
	storage.Dossier
	Files []uuid.UUID `json:"files"` // imports whose files, still kept, name the person's address
}

// Report gathers what is kept about a user.
func (o *Office) Report(ctx context.Context, p storage.Person, by storage.Entry) (r Report, err error) {
	if r.Dossier, err = o.store.Dossier(ctx, p, by); err != nil {
		return Report{}, err
	}
	named, err := o.filesNaming(ctx, p)
	r.Files = []uuid.UUID{}
	for _, f := range named {
		r.Files = append(r.Files, f.ID)
	}
	return r, err
}

// Erasure says what an erasure did.
type Erasure struct {
	Mark  string      `json:"mark"`          // the keyed hash that remains
	Files []uuid.UUID `json:"files_removed"` // imports whose files were removed before their time
}

// Erase removes a person: the account, and all the database holds of them. What
// the person did stays on record under a keyed hash of the address. Files of
// imports that name the address go as a whole, and the values of their errors.
//
// Errors: *[BusyError]; storage.ErrLastAdmin; storage.ErrNotFound. After any,
// some files may be gone and the person is still there: erase again.
func (o *Office) Erase(ctx context.Context, p storage.Person, by storage.Entry) (e Erasure, err error) {
	e = Erasure{Mark: o.signer.Pseudonym(p.EmailKey), Files: []uuid.UUID{}}
	named, err := o.filesNaming(ctx, p)
	if err != nil {
		return e, err
	}
	for _, f := range named { // first, so that nothing goes if one cannot
		if !f.Ended {
			return e, &BusyError{f.ID}
		}
	}
	for _, f := range named {
		if err := o.store.PurgeFile(ctx, f.ID); err != nil {
			return e, err
		}
		e.Files = append(e.Files, f.ID)
	}
	return e, o.store.EraseUser(ctx, p, e.Mark, by)
}

// filesAtOnce is how many imports are listed at a time.
const filesAtOnce = 200

// filesNaming finds the imports whose files hold the person's address.
func (o *Office) filesNaming(ctx context.Context, p storage.Person) (named []storage.KeptFile, err error) {
	finder := newFinder(p.Email, p.EmailKey)
	for after := uuid.Nil; ; {
		files, err := o.store.KeptFiles(ctx, after, filesAtOnce)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			found, err := finder.in(o.store.OpenUpload(ctx, f.ID, 0))
			if errors.Is(err, storage.ErrPurged) { // its time was over just now
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("look for a person in the file of import %s: %w", f.ID, err)
			}
			if found {
				named = append(named, f)
			}
		}
		if len(files) < filesAtOnce {
			return named, nil
		}
		after = files[len(files)-1].ID
	}
}
