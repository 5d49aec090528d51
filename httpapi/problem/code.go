package problem

import (
	"maps"
	"net/http"
	"slices"

	"rollcall/roster"
)

// Code names a problem. Codes are stable: programs decide by them.
type Code string

// Codes of requests. Those of files, which a failed import ends with, are in
// package roster.
const (
	InvalidMultipart  Code = "invalid_multipart"
	MissingFile       Code = "missing_file"
	InvalidParameter  Code = "invalid_parameter"
	Unauthorized      Code = "unauthorized"
	InvalidToken      Code = "invalid_token"
	InsufficientScope Code = "insufficient_scope"
	NotFound          Code = "not_found"
	MethodNotAllowed  Code = "method_not_allowed"
	UploadTooSlow     Code = "upload_too_slow"
	KeyInUse          Code = "idempotency_key_in_use"
	WrongState        Code = "wrong_state"
	NotEnded          Code = "import_not_ended"
	Purged            Code = "purged"
	FileTooLarge      Code = "file_too_large"
	UnsupportedMedia  Code = "unsupported_media_type"
	KeyReused         Code = "idempotency_key_reused"
	TooManyRequests   Code = "too_many_requests"
	TooManyImports    Code = "too_many_imports"
	ClientGone        Code = "client_gone"
	Internal          Code = "internal_error"
	Unavailable       Code = "unavailable"
	Busy              Code = "too_many_uploads"
)

// StatusClientGone is logged for a request whose client left; nobody reads it.
const StatusClientGone = 499

// kind is what every problem with one code has in common.
type kind struct {
	status int
	title  string
}

// known is the table from code to status and title. It is never changed.
var known = map[Code]kind{
	InvalidMultipart:  {http.StatusBadRequest, "The body is not a readable multipart form"},
	MissingFile:       {http.StatusBadRequest, "The form has no part named file"},
	InvalidParameter:  {http.StatusBadRequest, "A parameter has a value that cannot be used"},
	Unauthorized:      {http.StatusUnauthorized, "A token is required"},
	InvalidToken:      {http.StatusUnauthorized, "The token is not valid"},
	InsufficientScope: {http.StatusForbidden, "The token does not allow this"},
	NotFound:          {http.StatusNotFound, "Not found"},
	MethodNotAllowed:  {http.StatusMethodNotAllowed, "The method is not allowed here"},
	UploadTooSlow:     {http.StatusRequestTimeout, "The upload came too slowly"},
	KeyInUse:          {http.StatusConflict, "The Idempotency-Key is in use"},
	WrongState:        {http.StatusConflict, "Not possible in the present state"},
	NotEnded:          {http.StatusConflict, "The import has not ended"},
	Purged:            {http.StatusGone, "No longer kept"},
	FileTooLarge:      {http.StatusRequestEntityTooLarge, "The file is too large"},
	UnsupportedMedia:  {http.StatusUnsupportedMediaType, "The media type is not supported"},
	KeyReused:         {http.StatusUnprocessableEntity, "The Idempotency-Key was used for something else"},
	TooManyRequests:   {http.StatusTooManyRequests, "Too many requests"},
	TooManyImports:    {http.StatusTooManyRequests, "Too many imports at once"},
	ClientGone:        {StatusClientGone, "The client left"},
	Internal:          {http.StatusInternalServerError, "Something went wrong on the server"},
	Unavailable:       {http.StatusServiceUnavailable, "Temporarily unavailable"},
	Busy:              {http.StatusServiceUnavailable, "Too many uploads at once"},

	Code(roster.EmptyFile):       {http.StatusUnprocessableEntity, "The file is empty"},
	Code(roster.MissingColumn):   {http.StatusUnprocessableEntity, "A required column is missing"},
	Code(roster.DuplicateColumn): {http.StatusUnprocessableEntity, "A column stands twice"},
	Code(roster.EncodingError):   {http.StatusUnprocessableEntity, "The file is not in the declared encoding"},
	Code(roster.TooManyRows):     {http.StatusUnprocessableEntity, "The file has too many rows"},
	Code(roster.MalformedFile):   {http.StatusUnprocessableEntity, "The file is not a CSV"},
}

// Codes lists every code that an answer may carry, sorted. [ClientGone] is not
// among them: there is nobody to answer.
func Codes() []Code {
	codes := slices.Sorted(maps.Keys(known))
	return slices.DeleteFunc(codes, func(c Code) bool { return c == ClientGone })
}
