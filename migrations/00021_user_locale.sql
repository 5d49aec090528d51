-- +goose Up
ALTER TABLE users
    ADD COLUMN locale text,
    ADD CONSTRAINT users_locale_form CHECK (locale ~ '^[A-Za-z0-9-]{2,35}$');
COMMENT ON COLUMN users.locale IS 'BCP 47 tag of the language of mails and pages, such as de-CH. Null for the default, so that it takes no room then.';

ALTER TABLE invitations ADD COLUMN renewed_generation integer;
COMMENT ON COLUMN invitations.renewed_generation IS 'The generation that the invited person asked for in place of an expired link; null for none. Its mail says so.';
