// Command clients runs an import through the client that oapi-codegen generates:
//
//	clients URL TOKEN
//
// It uploads a file as a dry run, polls, reads the errors, confirms and polls
// again, and prints the counts. Package oapi is generated when the test runs.
package main

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"

	"rollcall/test/openapi/clients/oapi"
)

const users = "email,name\njane@example.com,Jane Doe\nbad-email,Bob\nmaria@example.com,Maria Garcia\n"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url, token string) error {
	client, err := oapi.NewClientWithResponses(url, oapi.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}))
	if err != nil {
		return err
	}
	id, err := upload(ctx, client)
	if err != nil {
		return err
	}
	i, err := poll(ctx, client, id, oapi.ImportStatusReady)
	if err != nil {
		return err
	}
	if err := readErrors(ctx, client, id); err != nil {
		return err
	}
	confirmed, err := client.ConfirmImportWithResponse(ctx, id, &oapi.ConfirmImportParams{}, oapi.ConfirmImportJSONRequestBody{})
	if err != nil {
		return err
	}
	if confirmed.JSON202 == nil || confirmed.Headers202 == nil {
		return fmt.Errorf("confirm: %s %s", confirmed.Status(), confirmed.Body)
	}
	if i, err = poll(ctx, client, id, oapi.ImportStatusCompleted); err != nil {
		return err
	}
	missing, err := client.GetImportWithResponse(ctx, uuid.New(), &oapi.GetImportParams{})
	if err != nil {
		return err
	}
	if p := missing.ApplicationproblemJSON404; p == nil || p.Code != oapi.ProblemCodeNotFound {
		return fmt.Errorf("unknown import: %s %s", missing.Status(), missing.Body)
	}
	fmt.Printf("total %d imported %d failed %d\n", *i.Total, i.Imported, i.Failed)
	return nil
}

func upload(ctx context.Context, client *oapi.ClientWithResponses) (oapi.ImportId, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "users.csv")
	if err != nil {
		return oapi.ImportId{}, err
	}
	part.Write([]byte(users)) // never fails
	form.WriteField("send_invitations", "false")
	form.Close()
	dryRun, prefer := true, "respond-async"
	res, err := client.StartImportWithBodyWithResponse(ctx, &oapi.StartImportParams{DryRun: &dryRun, Prefer: &prefer}, form.FormDataContentType(), &body)
	if err != nil {
		return oapi.ImportId{}, err
	}
	if res.JSON202 == nil {
		return oapi.ImportId{}, fmt.Errorf("upload: %s %s", res.Status(), res.Body)
	}
	return res.JSON202.Id, nil
}

// poll follows an import to a state, each time waiting for a change.
func poll(ctx context.Context, client *oapi.ClientWithResponses, id oapi.ImportId, want oapi.ImportStatus) (*oapi.Import, error) {
	var etag *string
	for prefer := "wait=5"; ; {
		res, err := client.GetImportWithResponse(ctx, id, &oapi.GetImportParams{IfNoneMatch: etag, Prefer: &prefer})
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode() == http.StatusNotModified:
			continue
		case res.JSON200 == nil:
			return nil, fmt.Errorf("poll: %s %s", res.Status(), res.Body)
		case res.JSON200.Status == want:
			return res.JSON200, nil
		case res.JSON200.Status == oapi.ImportStatusFailed:
			return nil, fmt.Errorf("the import failed: %+v", res.JSON200.Failure)
		}
		tag := res.HTTPResponse.Header.Get("ETag")
		etag = &tag
	}
}

func readErrors(ctx context.Context, client *oapi.ClientWithResponses, id oapi.ImportId) error {
	res, err := client.ListImportErrorsWithResponse(ctx, id, &oapi.ListImportErrorsParams{})
	if err != nil {
		return err
	}
	if res.JSON200 == nil || len(res.JSON200.Items) != 1 || res.JSON200.Next != nil {
		return fmt.Errorf("errors: %s %s", res.Status(), res.Body)
	}
	if e := res.JSON200.Items[0]; e.Row != 3 || e.Reason != oapi.RowCodeInvalidEmail || *e.Value != "bad-email" {
		return fmt.Errorf("error %+v", e)
	}
	return nil
}
