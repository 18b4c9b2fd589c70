"""The importer of Tsung's XML, and tsung.log and status in Tsung's forms."""
