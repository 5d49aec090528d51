package problem

import (
	"maps"
	"net/http"
	"slices"

	"rollcall/roster"
)

// Code names a problem. Codes are stable, so programs may rely on them.
type Code string

// Codes of requests. The codes of files, for failed imports, are in package
// roster.
const (
	InvalidMultipart  Code = "invalid_multipart"
	MissingFile       Code = "missing_file"
	InvalidParameter  Code = "invalid_parameter"
	Unauthorized      Code = "unauthorized"
	InvalidToken      Code = "invalid_token"
	InsufficientScope Code = "insufficient_scope"
	InvalidSignature  Code = "invalid_signature"
	NotFound          Code = "not_found"
	MethodNotAllowed  Code = "method_not_allowed"
	UploadTooSlow     Code = "upload_too_slow"
	KeyInUse          Code = "idempotency_key_in_use"
	WrongState        Code = "wrong_state"
	NotEnded          Code = "import_not_ended"
	ApprovalRequired  Code = "approval_required"
	TooManyEdits      Code = "too_many_edits"
	NotEditable       Code = "not_editable"
	Purged            Code = "purged"
	ChangesExpired    Code = "changes_expired"
	LastAdmin         Code = "last_admin"
	OwnAccount        Code = "own_account"
	InvalidUser       Code = "invalid_user"

	PreconditionFailed Code = "precondition_failed"

	DuplicateEmail      = Code(roster.DuplicateEmail)
	DuplicateExternalID = Code(roster.DuplicateExternalID)

	FileTooLarge     Code = "file_too_large"
	UnsupportedMedia Code = "unsupported_media_type"
	KeyReused        Code = "idempotency_key_reused"
	TooManyRequests  Code = "too_many_requests"
	TooManyImports   Code = "too_many_imports"
	ClientGone       Code = "client_gone"
	Internal         Code = "internal_error"
	Unavailable      Code = "unavailable"
	Busy             Code = "too_many_uploads"
)

// StatusClientGone is logged for a request whose client left; it is never sent.
const StatusClientGone = 499

// kind is what all problems with one code have in common.
type kind struct {
	status int
	title  string
}

// known is the table from code to status and title. It is never changed.
var known = map[Code]kind{
	InvalidMultipart:  {http.StatusBadRequest, "Malformed multipart form"},
	MissingFile:       {http.StatusBadRequest, "Missing file"},
	InvalidParameter:  {http.StatusBadRequest, "Invalid parameter"},
	Unauthorized:      {http.StatusUnauthorized, "Authentication required"},
	InvalidToken:      {http.StatusUnauthorized, "Invalid token"},
	InsufficientScope: {http.StatusForbidden, "Insufficient scope"},
	InvalidSignature:  {http.StatusForbidden, "Invalid signature"},
	NotFound:          {http.StatusNotFound, "Not found"},
	MethodNotAllowed:  {http.StatusMethodNotAllowed, "Method not allowed"},
	UploadTooSlow:     {http.StatusRequestTimeout, "Upload timed out"},
	KeyInUse:          {http.StatusConflict, "Idempotency-Key in use"},
	WrongState:        {http.StatusConflict, "Not allowed in the current state"},
	ApprovalRequired:  {http.StatusConflict, "Approval required"},
	TooManyEdits:      {http.StatusConflict, "Too many edited rows"},
	NotEditable:       {http.StatusConflict, "Rows can't be edited"},
	NotEnded:          {http.StatusConflict, "Import not finished"},
	Purged:            {http.StatusGone, "No longer available"},
	ChangesExpired:    {http.StatusGone, "Changes no longer kept"},
	LastAdmin:         {http.StatusConflict, "Last active administrator"},
	OwnAccount:        {http.StatusConflict, "Own account"},
	InvalidUser:       {http.StatusUnprocessableEntity, "Invalid user"},

	PreconditionFailed:  {http.StatusPreconditionFailed, "Changed since"},
	DuplicateEmail:      {http.StatusConflict, "Email address in use"},
	DuplicateExternalID: {http.StatusConflict, "External ID in use"},

	FileTooLarge:     {http.StatusRequestEntityTooLarge, "File too large"},
	UnsupportedMedia: {http.StatusUnsupportedMediaType, "Unsupported media type"},
	KeyReused:        {http.StatusUnprocessableEntity, "Idempotency-Key already used"},
	TooManyRequests:  {http.StatusTooManyRequests, "Too many requests"},
	TooManyImports:   {http.StatusTooManyRequests, "Too many imports in progress"},
	ClientGone:       {StatusClientGone, "Client disconnected"},
	Internal:         {http.StatusInternalServerError, "Internal server error"},
	Unavailable:      {http.StatusServiceUnavailable, "Service unavailable"},
	Busy:             {http.StatusServiceUnavailable, "Too many uploads in progress"},

	Code(roster.EmptyFile):         {http.StatusUnprocessableEntity, "The file is empty"},
	Code(roster.MissingColumn):     {http.StatusUnprocessableEntity, "Missing required column"},
	Code(roster.DuplicateColumn):   {http.StatusUnprocessableEntity, "Duplicate column"},
	Code(roster.EncodingError):     {http.StatusUnprocessableEntity, "Wrong encoding"},
	Code(roster.TooManyRows):       {http.StatusUnprocessableEntity, "Too many rows"},
	Code(roster.EmptyRoster):       {http.StatusUnprocessableEntity, "No valid rows in a full roster"},
	Code(roster.MalformedFile):     {http.StatusUnprocessableEntity, "Not a CSV file or workbook"},
	Code(roster.MissingSheet):      {http.StatusUnprocessableEntity, "Sheet not found"},
	Code(roster.ProtectedWorkbook): {http.StatusUnprocessableEntity, "Workbook is protected"},
}

// Codes lists every code that a response may have, sorted. [ClientGone] is not
// included, because its response has no recipient.
func Codes() []Code {
	codes := slices.Sorted(maps.Keys(known))
	return slices.DeleteFunc(codes, func(c Code) bool { return c == ClientGone })
}
