"""Post office: django-post_office upon PostgreSQL, as a peer that sends by SMTP.

    <its own python> tests/bench/postoffice.py fill|send <database> <smtp port> <threads>
                                               <batch> <processes> <mails>

Runs in .venv-bench, which knows nothing of the portal. Its other settings are its defaults, log
rows included; the mail's attachment is one file that all mails share.
"""

import random
import sys
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command

TEXT = "Hello Mary,\n\nyour invoice is attached.\n\nBright Spark Plumbing"


def configure(database: str, smtp_port: int, threads: int, batch: int) -> None:
    parts = urlsplit(database)
    host = parts.hostname or parse_qs(parts.query).get("host", [""])[0]
    settings.configure(
        SECRET_KEY="for the bench alone",
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "post_office"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.lstrip("/"),
                "USER": unquote(parts.username or ""),
                "PASSWORD": unquote(parts.password or ""),
                "HOST": unquote(host),
                "PORT": parts.port or "",
            }
        },
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        MEDIA_ROOT=str(Path(tempfile.gettempdir()) / "swbench-post-office"),
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        EMAIL_BACKEND="post_office.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=smtp_port,
        USE_TZ=True,
        POST_OFFICE={"THREADS_PER_PROCESS": threads, "BATCH_SIZE": batch},
    )
    django.setup()


def fill(mails: int) -> None:
    """The reference mail, so many times: text, HTML and a PDF of 100 kB."""
    from post_office import mail
    from post_office.models import Attachment, Email

    call_command("migrate", verbosity=0)
    pdf = Attachment(name="INV-0042.pdf", mimetype="application/pdf")
    pdf.file.save("INV-0042.pdf", ContentFile(random.Random(42).randbytes(100_000)), save=True)
    one = {
        "sender": "office@brightspark.example",
        "recipients": ["mary.lee@homes.example"],
        "subject": "Invoice from Bright Spark Plumbing",
        "message": TEXT,
        "html_message": f"<html><body><p>{TEXT * 20}</p></body></html>",
    }
    mail.send_many([one] * mails)
    joint = Email.attachments.through
    ids = Email.objects.values_list("id", flat=True)
    joint.objects.bulk_create(joint(email_id=each, attachment_id=pdf.id) for each in ids)


def main(what: str, database: str, *numbers: str) -> None:
    smtp_port, threads, batch, processes, mails = (int(one) for one in numbers)
    configure(database, smtp_port, threads, batch)
    if what == "fill":
        fill(mails)
        return
    lock = Path(tempfile.mkdtemp(prefix="swbench-")) / "lock"
    call_command("send_queued_mail", processes=processes, lockfile=str(lock))


if __name__ == "__main__":
    main(*sys.argv[1:])
