import{A as o,B as r,C as m,D as p}from"/app/chunk-BMIXS5YR.js";import"/app/chunk-HUE5J7GY.js";export{m as LinksScreen,p as downloadZip,r as openFileRequest,o as openShare};
