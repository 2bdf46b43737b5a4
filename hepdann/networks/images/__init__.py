"""Networks of images: towers of the views of MINERvA, published networks of pictures."""
