"""Flask-AppBuilder settings: replace by your OAuth, LDAP or database setup."""
from flask_appbuilder.const import AUTH_DB

AUTH_TYPE = AUTH_DB
WTF_CSRF_ENABLED = True
